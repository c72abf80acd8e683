-- What transactions publish: it waits in the outbox, and gets its place when they commit.

CREATE FUNCTION asgi_push.publish(
    channel text, body bytea, size bigint, ttl double precision, idempotency_key text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF channel IS NULL OR octet_length(channel) NOT BETWEEN 1 AND 255 THEN
        RAISE 'channel: must be text of 1 to 255 bytes' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF body IS NULL THEN
        RAISE 'data: must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM set_config('asgi_push.flushed', '', true);
    INSERT INTO asgi_push.outbox (xid, channel, body, size, ttl, key)
    VALUES (pg_current_xact_id()::text::bigint, channel, body, size, ttl, idempotency_key);
END $$;

-- The same, and kept in the inbox of the channel's user.
CREATE FUNCTION asgi_push.publish(
    channel text, body bytea, size bigint, ttl double precision, idempotency_key text,
    data_size bigint, inbox_size bigint, inbox_bytes bigint, inbox_ttl double precision,
    undelivered_after double precision
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('asgi_push.flushed', '', true);
    INSERT INTO asgi_push.outbox (
        xid, channel, body, size, ttl, key, data_size, inbox_size, inbox_bytes, inbox_ttl, undelivered_after
    ) VALUES (
        pg_current_xact_id()::text::bigint, channel, body, size, ttl, idempotency_key,
        data_size, inbox_size, inbox_bytes, inbox_ttl, undelivered_after
    );
END $$;

CREATE FUNCTION asgi_push.flush() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    xact bigint := pg_current_xact_id()::text::bigint;
    rows asgi_push.outbox[];
    place record;
BEGIN
    IF current_setting('asgi_push.flushed', true) = xact::text THEN
        RETURN NULL; -- with another row of this transaction
    END IF;
    PERFORM set_config('asgi_push.flushed', xact::text, true);
    WITH gone AS (DELETE FROM asgi_push.outbox WHERE xid = xact RETURNING *)
    SELECT array_agg(g ORDER BY g.id) INTO rows FROM gone g;
    IF rows IS NULL THEN
        RETURN NULL;
    END IF;
    -- Inboxes in the order of their channels, as all who lock more than one do.
    FOR place IN
        SELECT p.*, (rows[p.i]).* FROM (
            SELECT array_agg(r.channel ORDER BY i) AS names, array_agg(r.body ORDER BY i) AS bodies,
                   array_agg(r.size ORDER BY i) AS sizes, array_agg(r.ttl ORDER BY i) AS ttls,
                   array_agg(r.key ORDER BY i) AS keys
            FROM unnest(rows) WITH ORDINALITY
                r(id, xid, channel, body, size, ttl, key, data_size, inbox_size, inbox_bytes, inbox_ttl,
                  undelivered_after, i)
        ) a, LATERAL asgi_push.put(a.names, a.bodies, a.sizes, a.ttls, a.keys) WITH ORDINALITY
            p(at_seq, at_offset, epoch, fresh, i)
        ORDER BY (rows[p.i]).channel COLLATE "C", p.i
    LOOP
        IF place.fresh AND place.inbox_size IS NOT NULL THEN
            PERFORM asgi_push.keep(
                place.channel, place.at_seq, place.epoch, place.data_size, place.inbox_size,
                place.inbox_bytes, place.inbox_ttl, place.undelivered_after
            );
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER flush AFTER INSERT ON asgi_push.outbox
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION asgi_push.flush();

-- How long the history of a channel is.
CREATE FUNCTION asgi_push.history_of(name text) RETURNS asgi_push.namespaces LANGUAGE sql STABLE AS $$
    SELECT * FROM asgi_push.namespaces n
    WHERE n.name IN ('', CASE WHEN strpos($1, ':') > 0 THEN split_part($1, ':', 1) ELSE '' END)
    ORDER BY n.name DESC LIMIT 1
$$;

-- For SQL: JSON, with the history that the channel's namespace has.
CREATE FUNCTION asgi_push.publish(
    channel text, data text, idempotency_key text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    history asgi_push.namespaces := asgi_push.history_of(channel);
BEGIN
    PERFORM asgi_push.publish(
        channel, convert_to('j0:' || (data::json)::text, 'UTF8'), history.size, history.ttl, idempotency_key
    );
END $$;

CREATE FUNCTION asgi_push.publish(channel text, data json, idempotency_key text DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$ SELECT asgi_push.publish(channel, data::text, idempotency_key) $$;

CREATE FUNCTION asgi_push.publish(channel text, data jsonb, idempotency_key text DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$ SELECT asgi_push.publish(channel, data::text, idempotency_key) $$;

CREATE FUNCTION asgi_push.send_to_user(user_id text, data text)
RETURNS void LANGUAGE sql AS $$ SELECT asgi_push.publish('#' || user_id, data) $$;

CREATE FUNCTION asgi_push.send_to_user(user_id text, data json)
RETURNS void LANGUAGE sql AS $$ SELECT asgi_push.publish('#' || user_id, data) $$;

CREATE FUNCTION asgi_push.send_to_user(user_id text, data jsonb)
RETURNS void LANGUAGE sql AS $$ SELECT asgi_push.publish('#' || user_id, data) $$;

-- The same, and with "inbox" kept until the user confirms it.
CREATE FUNCTION asgi_push.send_to_user(
    user_id text, data text, inbox boolean, undelivered_after double precision DEFAULT NULL,
    idempotency_key text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    channel text := '#' || user_id;
    payload bytea := convert_to((data::json)::text, 'UTF8');
    history asgi_push.namespaces := asgi_push.history_of(channel);
    room asgi_push.inboxes;
BEGIN
    SELECT * INTO room FROM asgi_push.inboxes;
    IF user_id IS NULL OR octet_length(channel) NOT BETWEEN 2 AND 255 THEN
        RAISE 'user_id: must be text of 1 to 254 bytes' USING ERRCODE = 'invalid_parameter_value';
    ELSIF payload IS NULL THEN
        RAISE 'data: must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    ELSIF inbox IS NOT TRUE AND undelivered_after IS NOT NULL THEN
        RAISE 'undelivered_after: needs inbox => true' USING ERRCODE = 'invalid_parameter_value';
    ELSIF inbox IS NOT TRUE THEN
        PERFORM asgi_push.publish(channel, data, idempotency_key);
        RETURN;
    ELSIF room.size = 0 OR history.size IS NULL THEN
        RAISE 'inbox: there is none, as inbox_size is 0 or the channels of users keep no history'
        USING ERRCODE = 'invalid_parameter_value';
    ELSIF octet_length(payload) > room.bytes THEN
        RAISE 'data: has % bytes, and an inbox (inbox_bytes) %', octet_length(payload), room.bytes
        USING ERRCODE = 'invalid_parameter_value';
    ELSIF undelivered_after NOT BETWEEN 0 AND room.ttl THEN
        RAISE 'undelivered_after: must be from 0 to inbox_ttl (%), in seconds', room.ttl
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM asgi_push.publish(
        channel, convert_to('j22:{"awaited_by":"inbox"}', 'UTF8') || payload, history.size, history.ttl,
        idempotency_key, octet_length(payload), room.size, room.bytes, room.ttl, undelivered_after
    );
END $$;

CREATE FUNCTION asgi_push.send_to_user(
    user_id text, data json, inbox boolean, undelivered_after double precision DEFAULT NULL,
    idempotency_key text DEFAULT NULL
) RETURNS void LANGUAGE sql AS
$$ SELECT asgi_push.send_to_user(user_id, data::text, inbox, undelivered_after, idempotency_key) $$;

CREATE FUNCTION asgi_push.send_to_user(
    user_id text, data jsonb, inbox boolean, undelivered_after double precision DEFAULT NULL,
    idempotency_key text DEFAULT NULL
) RETURNS void LANGUAGE sql AS
$$ SELECT asgi_push.send_to_user(user_id, data::text, inbox, undelivered_after, idempotency_key) $$;

-- Writes down what one user's inbox holds.
CREATE FUNCTION asgi_push.remember_inbox(most bigint, most_bytes bigint, seconds double precision)
RETURNS void LANGUAGE sql AS $$
    UPDATE asgi_push.inboxes i SET size = most, bytes = most_bytes, ttl = seconds
    WHERE (i.size, i.bytes, i.ttl) IS DISTINCT FROM (most, most_bytes, seconds)
$$;

-- Writes down how long the histories of a namespace are.
CREATE FUNCTION asgi_push.remember(namespace text, history bigint, seconds double precision)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO asgi_push.namespaces AS n VALUES (namespace, history, seconds)
    ON CONFLICT (name) DO UPDATE SET size = excluded.size, ttl = excluded.ttl
    WHERE (n.size, n.ttl) IS DISTINCT FROM (excluded.size, excluded.ttl)
$$;
