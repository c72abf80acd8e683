-- What processes read.

-- Where channels stand; NULLs for one that has not begun. Positions that are asked for stay alive.
CREATE FUNCTION asgi_push.look(names text[])
RETURNS TABLE (epoch text, seq bigint, top bigint) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE asgi_push.channels c SET keep_until = clock_timestamp() + interval '7 days'
    WHERE c.channel = ANY (names) AND c.keep_until < clock_timestamp() + interval '6 days';
    RETURN QUERY
    SELECT c.epoch, c.seq, c.top
    FROM unnest(names) WITH ORDINALITY u(name, i) LEFT JOIN asgi_push.channels c ON c.channel = u.name
    ORDER BY u.i;
END $$;

-- The server's time, a Unix time in seconds.
CREATE FUNCTION asgi_push.clock() RETURNS double precision LANGUAGE sql VOLATILE AS
$$ SELECT extract(epoch FROM clock_timestamp())::double precision $$;

-- Where a channel stood at such a time, as "look" says it, as far as what came since is kept.
CREATE FUNCTION asgi_push.place(name text, since double precision)
RETURNS TABLE (epoch text, seq bigint, top bigint) LANGUAGE sql STABLE AS $$
    SELECT c.epoch, coalesce(min(i.seq) - 1, c.seq), coalesce(min(i."offset") - 1, c.top)
    FROM (SELECT name) u
    LEFT JOIN asgi_push.channels c ON c.channel = u.name
    LEFT JOIN asgi_push.items i
    ON i.channel = c.channel AND i.seq <= c.seq AND i.at >= to_timestamp(since)
    GROUP BY c.epoch, c.seq, c.top
$$;

-- What came in channels after the places that are known, up to "most" items of each and about
-- a mebibyte; a channel of which nothing came has one row. A channel that has not begun has none.
CREATE FUNCTION asgi_push.read(names text[], since bigint[], most integer)
RETURNS TABLE (
    channel text, epoch text, last bigint, top bigint, seq bigint, "offset" bigint, xid bigint, snap text, body bytea
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT c.channel::text, c.epoch, c.seq, c.top, i.seq, i."offset", i.xid, i.snap, i.body
    FROM unnest(names, since) u(name, place)
    JOIN asgi_push.channels c ON c.channel = u.name
    LEFT JOIN LATERAL (
        SELECT n.*, sum(octet_length(n.body)) OVER (ORDER BY n.seq) - octet_length(n.body) AS before
        FROM (
            SELECT * FROM asgi_push.items k
            WHERE k.channel = u.name AND k.seq > u.place ORDER BY k.seq LIMIT most
        ) n
    ) i ON i.before < 1048576;
END $$;

-- Where a position of a channel goes on in the life that it has now: the seq to read after, and
-- whether nothing before it is lost. Given a place that the channel has not reached, another life
-- begins.
CREATE FUNCTION asgi_push.resume(name text, known text, place bigint)
RETURNS TABLE (epoch text, seq bigint, top bigint, whole boolean) LANGUAGE plpgsql AS $$
DECLARE
    c asgi_push.channels;
    life text;
    ended bigint;
BEGIN
    c := asgi_push.locked(name);
    IF c.epoch = known AND c.seq < place THEN
        c := asgi_push.locked(name, c.epoch);
    END IF;
    IF c.epoch = known THEN
        RETURN QUERY SELECT c.epoch, place, NULL::bigint, true;
        RETURN;
    END IF;
    FOREACH life IN ARRAY string_to_array(c.past, ',') LOOP
        IF split_part(life, ':', 1) = known AND split_part(life, ':', 3) <> '' THEN
            ended := split_part(life, ':', 3)::bigint;
            IF place <= ended THEN
                RETURN QUERY SELECT c.epoch, place, NULL::bigint, true;
            ELSE
                RETURN QUERY SELECT c.epoch, ended, split_part(life, ':', 2)::bigint, false;
            END IF;
            RETURN;
        END IF;
    END LOOP;
    RETURN QUERY
    SELECT c.epoch, c.seq - count(*)::bigint, c.top - count(i."offset")::bigint, false
    FROM asgi_push.items i
    WHERE i.channel = name AND i.at > clock_timestamp() - asgi_push.live_time();
END $$;

-- A page of a history: after an offset or, reversed, before it (-1: none); "most" publications
-- (-1: all). The first row says where the stream stands and whether the position is one of it.
CREATE FUNCTION asgi_push.history(
    name text, known text, since bigint, most bigint, backwards boolean
) RETURNS TABLE (good boolean, epoch text, "offset" bigint, body bytea) LANGUAGE plpgsql AS $$
DECLARE
    c asgi_push.channels;
    life text;
    good boolean;
    low bigint;
    high bigint;
BEGIN
    SELECT * INTO c FROM asgi_push.channels n WHERE n.channel = name;
    IF NOT FOUND THEN
        c := asgi_push.locked(name); -- so that its position can be gone on from
    END IF;
    good := known IN ('', c.epoch);
    IF NOT good THEN
        FOREACH life IN ARRAY string_to_array(c.past, ',') LOOP
            IF split_part(life, ':', 1) = known AND split_part(life, ':', 3) <> '' THEN
                good := since <= split_part(life, ':', 2)::bigint;
                EXIT;
            END IF;
        END LOOP;
    END IF;
    RETURN QUERY SELECT good, c.epoch, c.top, NULL::bytea;
    low := CASE WHEN c.expires_at <= clock_timestamp() THEN c.top ELSE c.low END;
    high := c.top;
    IF backwards THEN
        IF since >= 0 THEN
            high := least(high, since - 1);
        END IF;
        IF most >= 0 THEN
            low := greatest(low, high - most);
        END IF;
    ELSE
        low := greatest(low, since);
        IF most >= 0 THEN
            high := least(high, low + most);
        END IF;
    END IF;
    IF NOT good OR high <= low THEN
        RETURN;
    END IF;
    -- Offsets are dense: counted from the end, the publications above "low" are so many.
    RETURN QUERY
    SELECT NULL::boolean, NULL::text, p.place, p.body
    FROM (
        SELECT i."offset" AS place, i.body AS body FROM asgi_push.items i
        WHERE i.channel = name AND i.seq <= c.seq AND i."offset" > low
        ORDER BY i.seq DESC LIMIT c.top - low
    ) p
    WHERE p.place <= high
    ORDER BY CASE WHEN backwards THEN -p.place ELSE p.place END;
END $$;

CREATE FUNCTION asgi_push.forget(name text) RETURNS void LANGUAGE sql AS
$$ UPDATE asgi_push.channels SET low = top WHERE channel = name $$;
