-- What users have not confirmed. Whoever adds to an inbox holds the lock of its channel to the
-- commit, so that its order is that of its publications.

-- Adds a publication that this transaction has published, and removes what the inbox has no room for; returns how many that were.
CREATE FUNCTION asgi_push.keep(
    name text, item bigint, life text, data_size bigint,
    most bigint, most_bytes bigint, seconds double precision, after double precision
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz := clock_timestamp();
    gone bigint;
BEGIN
    DELETE FROM asgi_push.inbox i WHERE i.channel = name AND i.expires_at <= t;
    INSERT INTO asgi_push.inbox (channel, "offset", epoch, size, expires_at, due_at, body)
    SELECT name, n."offset", life, data_size, t + seconds * interval '1 second',
           t + after * interval '1 second', n.body
    FROM asgi_push.items n WHERE n.channel = name AND n.seq = item;
    DELETE FROM asgi_push.inbox i WHERE i.channel = name AND i.id IN (
        SELECT n.id FROM (
            SELECT k.id, row_number() OVER newest AS many, sum(k.size) OVER newest AS bytes
            FROM asgi_push.inbox k WHERE k.channel = name WINDOW newest AS (ORDER BY k.id DESC)
        ) n WHERE n.many > most OR n.bytes > most_bytes
    );
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

-- Publishes and keeps, in one transaction; "dropped" is what there was no room for.
CREATE FUNCTION asgi_push.publish_and_keep(
    name text, data bytea, history bigint, history_ttl double precision, key text, data_size bigint,
    most bigint, most_bytes bigint, seconds double precision, after double precision
) RETURNS TABLE (seq bigint, "offset" bigint, epoch text, dropped bigint) LANGUAGE plpgsql AS $$
DECLARE
    p record;
BEGIN
    SELECT * INTO p
    FROM asgi_push.put(ARRAY[name], ARRAY[data], ARRAY[history], ARRAY[history_ttl], ARRAY[key]);
    RETURN QUERY SELECT p.seq, p."offset", p.epoch, CASE WHEN p.fresh THEN asgi_push.keep(
        name, p.seq, p.epoch, data_size, most, most_bytes, seconds, after
    ) ELSE 0 END;
END $$;

-- A page of an inbox, after a row.
CREATE FUNCTION asgi_push.unconfirmed(name text, after bigint, most bigint)
RETURNS TABLE (id bigint, "offset" bigint, epoch text, body bytea) LANGUAGE sql STABLE AS $$
    SELECT n.id, n."offset", n.epoch, n.body
    FROM (
        SELECT i.*, sum(i.size) OVER (ORDER BY i.id) - i.size AS before
        FROM asgi_push.inbox i
        WHERE i.channel = name AND i.id > after AND i.expires_at > clock_timestamp()
    ) n WHERE n.before < most ORDER BY n.id
$$;

-- Removes all up to the last publication of a life that is not beyond an offset; returns how many.
CREATE FUNCTION asgi_push.confirm(name text, life text, place bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM asgi_push.inbox i WHERE i.channel = name AND i.id <= (
        SELECT max(n.id) FROM asgi_push.inbox n
        WHERE n.channel = name AND n.epoch = life AND n."offset" <= place
    );
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

CREATE FUNCTION asgi_push.clear(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM asgi_push.inbox i WHERE i.channel = name;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

-- Claims what is due, for so many seconds; two who claim at once get different rows.
CREATE FUNCTION asgi_push.claim(most bigint, seconds double precision)
RETURNS TABLE (channel text, id bigint, "offset" bigint, epoch text, attempt integer, body bytea)
LANGUAGE sql AS $$
    UPDATE asgi_push.inbox i
    SET due_at = clock_timestamp() + seconds * interval '1 second', attempt = i.attempt + 1
    WHERE (i.channel, i.id) IN (
        SELECT n.channel, n.id FROM asgi_push.inbox n
        WHERE n.due_at <= clock_timestamp() AND n.expires_at > clock_timestamp()
        ORDER BY n.due_at LIMIT most FOR UPDATE SKIP LOCKED
    )
    RETURNING i.channel, i.id, i."offset", i.epoch, i.attempt, i.body
$$;

CREATE FUNCTION asgi_push.postpone(name text, row_id bigint, claimed integer, seconds double precision)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE asgi_push.inbox i SET due_at = clock_timestamp() + seconds * interval '1 second'
    WHERE i.channel = name AND i.id = row_id AND i.attempt = claimed AND i.due_at IS NOT NULL;
    RETURN FOUND;
END $$;

CREATE FUNCTION asgi_push.settle(name text, row_id bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE asgi_push.inbox SET due_at = NULL WHERE channel = name AND id = row_id
$$;
