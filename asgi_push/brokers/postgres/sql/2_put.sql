-- How long what was published is there for processes that are behind, whatever the history is.
CREATE FUNCTION asgi_push.live_time() RETURNS interval LANGUAGE sql IMMUTABLE AS
$$ SELECT interval '60 seconds' $$;

CREATE FUNCTION asgi_push.timeline() RETURNS text LANGUAGE sql STABLE AS
$$ SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END $$;

CREATE FUNCTION asgi_push.new_epoch() RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT left(replace(gen_random_uuid()::text, '-', ''), 12) $$;

-- Begins channels that have no row yet.
CREATE FUNCTION asgi_push.begin(names text[], now_on text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO asgi_push.channels
    SELECT u.name, asgi_push.new_epoch(), '', now_on, 0, 0, 0, '-infinity',
           clock_timestamp() + interval '7 days', clock_timestamp() + interval '7 days'
    FROM (SELECT DISTINCT name COLLATE "C" AS name FROM unnest(names) name) u
    WHERE NOT EXISTS (SELECT FROM asgi_push.channels n WHERE n.channel = u.name)
    ORDER BY u.name
    ON CONFLICT DO NOTHING;
END $$;

-- Returns the row of a channel, locked. A server that took over from another, or was set back in
-- time, may have lost what that one gave out last: with its first step in a stream another life
-- begins. Offsets go on, and a position of a life before is good as far as that went.
CREATE FUNCTION asgi_push.locked(name text, fresh text DEFAULT NULL)
RETURNS asgi_push.channels LANGUAGE plpgsql AS $$
DECLARE
    c asgi_push.channels;
    now_on text := asgi_push.timeline();
BEGIN
    SELECT * INTO c FROM asgi_push.channels WHERE channel = name FOR UPDATE;
    WHILE NOT FOUND LOOP
        PERFORM asgi_push.begin(ARRAY[name], now_on);
        SELECT * INTO c FROM asgi_push.channels WHERE channel = name FOR UPDATE;
    END LOOP;
    IF c.timeline <> now_on OR fresh = c.epoch THEN
        c.past := left(c.epoch || ':' || c.top || ':' || c.seq || ',' || c.past, 160);
        c.epoch := asgi_push.new_epoch();
        c.timeline := now_on;
        UPDATE asgi_push.channels SET past = c.past, epoch = c.epoch, timeline = c.timeline
        WHERE channel = name;
    END IF;
    RETURN c;
END $$;

-- Wakes all processes; NOTIFY carries up to 7,999 bytes.
CREATE FUNCTION asgi_push.wake(names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    payload text := (SELECT string_agg(to_json(name)::text, ',') FROM unnest(names) name);
    half integer := cardinality(names) / 2;
BEGIN
    IF octet_length(payload) < 7900 THEN
        PERFORM pg_notify('asgi_push', '[' || payload || ']');
    ELSE
        PERFORM asgi_push.wake(names[:half]);
        PERFORM asgi_push.wake(names[half + 1:]);
    END IF;
END $$;

-- Gives items their places, and wakes all processes. Channels are locked in the order of their
-- names, whoever comes. Each body gets the time before it, a Unix time in milliseconds. What a key
-- was used for before is not published again. Commands, which are in the channel '', go alone, and
-- without the time.
CREATE FUNCTION asgi_push.put(
    names text[], bodies bytea[], sizes bigint[], ttls double precision[], keys text[]
) RETURNS TABLE (seq bigint, "offset" bigint, epoch text, fresh boolean) LANGUAGE plpgsql AS $$
DECLARE
    one record;
    c asgi_push.channels;
    known asgi_push.results;
    xact bigint := pg_current_xact_id()::text::bigint;
    now_on text := asgi_push.timeline();
    t timestamptz;
    now_is timestamptz;
    many integer := cardinality(names);
    seqs bigint[] := array_fill(NULL::bigint, ARRAY[many]);
    offsets bigint[] := array_fill(NULL::bigint, ARRAY[many]);
    epochs text[] := array_fill(NULL::text, ARRAY[many]);
    rows asgi_push.channels[] := '{}';
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'local', true); -- a place is given out once
    END IF;
    PERFORM asgi_push.begin(names, now_on);
    FOR one IN
        WITH locked AS MATERIALIZED (
            SELECT * FROM asgi_push.channels n WHERE n.channel = ANY (names)
            ORDER BY n.channel FOR UPDATE
        )
        SELECT u.i, u.name, u.size, u.ttl, u.key, l AS place
        FROM unnest(names, sizes, ttls, keys) WITH ORDINALITY u(name, size, ttl, key, i)
        JOIN locked l ON l.channel = u.name
        ORDER BY u.name COLLATE "C", u.i
    LOOP
        many := many - 1;
        IF c.channel IS NULL OR c.channel <> one.name THEN
            IF c.channel IS NOT NULL THEN
                rows := rows || c;
            END IF;
            c := one.place;
            IF c.timeline <> now_on THEN
                c := asgi_push.locked(one.name);
            END IF;
            t := clock_timestamp();
            c.sweep_at := least(c.sweep_at, t + interval '60 seconds');
        END IF;
        IF one.key IS NOT NULL THEN
            SELECT * INTO known FROM asgi_push.results r
            WHERE r.channel = one.name AND r.key = one.key AND r.at > t - interval '300 seconds';
            IF FOUND THEN
                offsets[one.i] := known."offset";
                epochs[one.i] := known.epoch;
                CONTINUE;
            END IF;
        END IF;
        c.seq := c.seq + 1;
        seqs[one.i] := c.seq;
        epochs[one.i] := c.epoch;
        IF one.size IS NOT NULL THEN
            IF c.expires_at <= t THEN
                c.low := c.top;
            END IF;
            c.top := c.top + 1;
            c.low := greatest(c.low, c.top - one.size);
            c.expires_at := t + one.ttl * interval '1 second';
            c.keep_until := greatest(c.keep_until, c.expires_at + interval '7 days');
            offsets[one.i] := c.top;
        END IF;
        IF one.key IS NOT NULL THEN
            INSERT INTO asgi_push.results AS r VALUES (one.name, one.key, offsets[one.i], c.epoch, t)
            ON CONFLICT ON CONSTRAINT results_pkey
            DO UPDATE SET "offset" = excluded."offset", epoch = excluded.epoch, at = excluded.at;
        END IF;
    END LOOP;
    IF many > 0 THEN
        RAISE 'a channel ended meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    rows := rows || c;
    UPDATE asgi_push.channels n
    SET seq = u.seq, top = u.top, low = u.low, expires_at = u.expires_at,
        keep_until = u.keep_until, sweep_at = u.sweep_at
    FROM unnest(rows) u WHERE n.channel = u.channel;
    now_is := clock_timestamp();
    INSERT INTO asgi_push.items
    SELECT u.name, u.seq, u.place, xact,
           CASE u.name WHEN '' THEN pg_current_snapshot()::text END, now_is,
           CASE u.name WHEN '' THEN u.body
           ELSE convert_to(floor(extract(epoch FROM now_is) * 1000)::bigint::text, 'UTF8') || u.body END
    FROM unnest(names, seqs, offsets, bodies) u(name, seq, place, body)
    WHERE u.seq IS NOT NULL;
    IF names[1] = '' THEN
        PERFORM pg_notify('asgi_push', c.seq::text);
    ELSE
        PERFORM asgi_push.wake(ARRAY(SELECT u.channel FROM unnest(rows) u));
    END IF;
    RETURN QUERY
    SELECT u.seq, u.place, u.epoch, u.seq IS NOT NULL
    FROM unnest(seqs, offsets, epochs) u(seq, place, epoch);
END $$;
