-- Words have other hashes: the index is made anew behind the commits.
DELETE FROM sidelog.text_cells;
DELETE FROM sidelog.text_segments;
DELETE FROM sidelog.text_parts;
