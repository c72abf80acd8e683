-- What asgi_push keeps in PostgreSQL, version 1: run by its owner, in one transaction.
--
-- A channel has a row, whose lock gives its items their places in the order of commits: whoever has
-- it holds it to the commit, so that no reader sees the second of two before the first. Readers are
-- woken by NOTIFY, with the names of channels and nothing else, and read what came after the place
-- that they know. "seq" counts everything, "offset" only what the history keeps.

CREATE SCHEMA asgi_push;

CREATE TABLE asgi_push.version (version integer PRIMARY KEY);
INSERT INTO asgi_push.version VALUES (1);

-- How long the histories of the channels of a namespace are, for publications from SQL; processes
-- that have sessions write it down. The name '' is for all other channels.
CREATE TABLE asgi_push.namespaces (
    name text PRIMARY KEY,
    size bigint, -- NULL: no history
    ttl double precision
);
INSERT INTO asgi_push.namespaces VALUES ('', 100, 300);

-- What one user's inbox holds, for what SQL sends into it; written down by the same processes.
CREATE TABLE asgi_push.inboxes (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    size bigint NOT NULL, -- 0: there are no inboxes
    bytes bigint NOT NULL,
    ttl double precision NOT NULL
);
INSERT INTO asgi_push.inboxes (size, bytes, ttl) VALUES (100, 262144, 604800);

CREATE TABLE asgi_push.channels (
    channel text COLLATE "C" PRIMARY KEY,
    epoch text NOT NULL, -- the life of the stream
    past text NOT NULL, -- the lives before: 'epoch:offset:seq,...', where each of them ended
    timeline text NOT NULL, -- of the server that gave out the last place
    seq bigint NOT NULL, -- the last item's
    top bigint NOT NULL, -- the last publication's offset
    low bigint NOT NULL, -- offsets up to this one are not in the history any more
    expires_at timestamptz NOT NULL, -- of the history
    keep_until timestamptz NOT NULL, -- the position
    sweep_at timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX channels_sweep ON asgi_push.channels (sweep_at);

-- Publications, notices (of who comes and goes), and commands (in the channel '').
CREATE TABLE asgi_push.items (
    channel text COLLATE "C",
    seq bigint,
    "offset" bigint, -- NULL: it is in no history
    xid bigint NOT NULL, -- the transaction, for the order of commands among everything else
    snap text, -- of a command: which transactions are before it
    at timestamptz NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (channel, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
ALTER TABLE asgi_push.items ALTER COLUMN body SET STORAGE EXTERNAL; -- no time to compress

CREATE TABLE asgi_push.results (
    channel text COLLATE "C",
    key text COLLATE "C",
    "offset" bigint, -- NULL: it is in no history
    epoch text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (channel, key)
);
CREATE INDEX results_at ON asgi_push.results (at);

-- What transactions that are under way have published; nobody but themselves ever sees a row of it.
CREATE TABLE asgi_push.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid bigint NOT NULL,
    channel text NOT NULL,
    body bytea NOT NULL,
    size bigint,
    ttl double precision,
    key text,
    data_size bigint,
    inbox_size bigint, -- NULL: it goes into no inbox
    inbox_bytes bigint,
    inbox_ttl double precision,
    undelivered_after double precision
) WITH (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE asgi_push.outbox ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX outbox_xid ON asgi_push.outbox (xid);

-- What users have not confirmed, in the order of "id"; it is not in the histories, which forget.
CREATE TABLE asgi_push.inbox (
    channel text COLLATE "C",
    id bigint GENERATED ALWAYS AS IDENTITY,
    "offset" bigint NOT NULL,
    epoch text NOT NULL,
    size bigint NOT NULL, -- of the data
    expires_at timestamptz NOT NULL,
    due_at timestamptz, -- NULL: it is never due, or not any more
    attempt integer NOT NULL DEFAULT 0,
    body bytea NOT NULL,
    PRIMARY KEY (channel, id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE asgi_push.inbox ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX inbox_due ON asgi_push.inbox (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX inbox_expires ON asgi_push.inbox (expires_at);

-- Processes that live, and who is in a channel in them. A server that crashed has forgotten both,
-- and they write it again.
CREATE UNLOGGED TABLE asgi_push.processes (
    process text COLLATE "C" PRIMARY KEY,
    obeys boolean NOT NULL, -- whether it carries out commands
    until timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE UNLOGGED TABLE asgi_push.presence (
    channel text COLLATE "C",
    process text COLLATE "C",
    session text COLLATE "C",
    since double precision NOT NULL, -- Unix time
    entry bytea NOT NULL,
    PRIMARY KEY (channel, process, session)
);
CREATE INDEX presence_process ON asgi_push.presence (process);
