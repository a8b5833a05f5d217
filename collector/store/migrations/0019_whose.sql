-- Whose events are: by blocks of 65,536 numbers, in 64 parts each by bits of the id that an event
-- counts for (event_keys). A person's events are looked for in one part of each block.
CREATE TABLE whose (
  place INTEGER PRIMARY KEY,    -- the block's number, times 64, and the part's
  content BLOB NOT NULL         -- 32 bits of each id, then 16 of each event's number
);

-- They were kept beside the columns of hits: 128 KiB to be read for each 32,768 events.
DELETE FROM hit_columns WHERE place & 15 = 0;
