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

-- For SQL: JSON, with the history that the channel's namespace has.
CREATE FUNCTION asgi_push.publish(
    channel text, data text, idempotency_key text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    history asgi_push.namespaces;
BEGIN
    SELECT * INTO history FROM asgi_push.namespaces n
    WHERE n.name IN ('', CASE WHEN strpos(channel, ':') > 0 THEN split_part(channel, ':', 1) ELSE '' END)
    ORDER BY n.name DESC LIMIT 1;
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

-- Writes down how long the histories of a namespace are.
CREATE FUNCTION asgi_push.remember(namespace text, history bigint, seconds double precision)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO asgi_push.namespaces AS n VALUES (namespace, history, seconds)
    ON CONFLICT (name) DO UPDATE SET size = excluded.size, ttl = excluded.ttl
    WHERE (n.size, n.ttl) IS DISTINCT FROM (excluded.size, excluded.ttl)
$$;
