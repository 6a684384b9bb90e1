-- What sidelog did by itself: few rows among many. Exchanges and WebSocket messages, of level debug, cost nothing.
CREATE INDEX records_events ON records (seq) WHERE kind = 1 AND level >= 1;
