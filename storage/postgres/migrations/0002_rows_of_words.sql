-- The index of words says in which rows they are: it is made anew.
DELETE FROM sidelog.text_cells;
DELETE FROM sidelog.text_segments;
DELETE FROM sidelog.text_parts;
