-- Processes.

-- A process lives; returns whether it was known to.
CREATE FUNCTION asgi_push.alive(name text, obeying boolean, seconds double precision)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE asgi_push.processes p
    SET until = clock_timestamp() + seconds * interval '1 second', obeys = obeying
    WHERE p.process = name;
    IF FOUND THEN
        RETURN true;
    END IF;
    INSERT INTO asgi_push.processes VALUES (name, obeying, clock_timestamp() + seconds * interval '1 second')
    ON CONFLICT (process) DO UPDATE SET until = excluded.until, obeys = excluded.obeys;
    RETURN false;
END $$;

CREATE FUNCTION asgi_push.obeying() RETURNS SETOF text LANGUAGE sql STABLE AS
$$ SELECT process FROM asgi_push.processes WHERE obeys AND until > clock_timestamp() $$;

CREATE FUNCTION asgi_push.gone(name text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM asgi_push.presence WHERE process = name;
    DELETE FROM asgi_push.processes WHERE process = name;
$$;

-- Tells one process something.
CREATE FUNCTION asgi_push.tell(name text, message text) RETURNS void LANGUAGE sql AS
$$ SELECT pg_notify('asgi_push.' || name, message) $$;

-- Presence.

CREATE FUNCTION asgi_push.enter(name text, in_process text, id text, came double precision, about bytea)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO asgi_push.presence VALUES (name, in_process, id, came, about)
    ON CONFLICT (channel, process, session) DO UPDATE SET entry = excluded.entry
$$;

CREATE FUNCTION asgi_push.leave(name text, in_process text, id text) RETURNS void LANGUAGE sql AS
$$ DELETE FROM asgi_push.presence WHERE channel = name AND process = in_process AND session = id $$;

-- Takes everything of a process out of presence, which then writes it anew.
CREATE FUNCTION asgi_push.leave_all(in_process text) RETURNS void LANGUAGE sql AS
$$ DELETE FROM asgi_push.presence WHERE process = in_process $$;

-- Who is in a channel in the other processes that live.
CREATE FUNCTION asgi_push.others(name text, in_process text)
RETURNS TABLE (session text, entry bytea) LANGUAGE sql STABLE AS $$
    SELECT s.session, s.entry
    FROM asgi_push.presence s JOIN asgi_push.processes p USING (process)
    WHERE s.channel = name AND s.process <> in_process AND p.until > clock_timestamp()
$$;

CREATE FUNCTION asgi_push.elsewhere(name text, in_process text) RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT EXISTS (SELECT FROM asgi_push.others(name, in_process)) $$;

-- Counts a session among those of its channel if there is room, or if the oldest may give way; these
-- are returned. The first row is whether it was counted.
CREATE FUNCTION asgi_push.admit(
    name text, in_process text, id text, came double precision, about bytea, room bigint, replacing boolean
) RETURNS TABLE (admitted boolean, replaced text) LANGUAGE plpgsql AS $$
DECLARE
    excess bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('asgi_push ' || name, 0));
    DELETE FROM asgi_push.presence s
    WHERE s.channel = name AND s.process <> in_process AND NOT EXISTS (
        SELECT FROM asgi_push.processes p WHERE p.process = s.process AND p.until > clock_timestamp()
    );
    SELECT count(*) + 1 - room INTO excess FROM asgi_push.presence s
    WHERE s.channel = name AND (s.process, s.session) <> (in_process, id);
    IF excess > 0 AND NOT replacing THEN
        RETURN QUERY SELECT false, NULL::text;
        RETURN;
    END IF;
    RETURN QUERY SELECT true, NULL::text;
    IF excess > 0 THEN
        RETURN QUERY
        DELETE FROM asgi_push.presence s WHERE (s.channel, s.process, s.session) IN (
            SELECT o.channel, o.process, o.session FROM asgi_push.presence o
            WHERE o.channel = name AND (o.process, o.session) <> (in_process, id)
            ORDER BY o.since LIMIT excess
        ) RETURNING true, s.session::text;
    END IF;
    PERFORM asgi_push.enter(name, in_process, id, came, about);
END $$;
