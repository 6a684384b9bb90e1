-- Lists in the order of receipt, by id: of a project, and of a route of a client. Rows without either cost nothing.
CREATE INDEX records_project_id ON sidelog.records (project, id) WHERE project IS NOT NULL;
CREATE INDEX records_route_id ON sidelog.records (route_id, id) WHERE client IS NOT NULL;
