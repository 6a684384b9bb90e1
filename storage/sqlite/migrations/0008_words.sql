-- Words have other hashes: the index is made anew behind the commits.
DELETE FROM text_cells;
DELETE FROM text_segments;
DELETE FROM text_parts;
