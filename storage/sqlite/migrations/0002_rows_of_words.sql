-- The index of words says in which rows they are: it is made anew.
DELETE FROM text_cells;
DELETE FROM text_segments;
DELETE FROM text_parts;
