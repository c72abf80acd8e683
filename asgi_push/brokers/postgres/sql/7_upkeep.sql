-- Sweeps what is over: a few channels, and at most "most" items of each; returns whether there is
-- more. Nothing is locked for longer than that takes, and nobody waits for another who sweeps.
CREATE FUNCTION asgi_push.sweep(channels integer, most integer)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    c asgi_push.channels;
    t timestamptz := clock_timestamp();
    swept integer := 0;
    many bigint;
    more boolean := false;
    next_time timestamptz;
BEGIN
    FOR c IN
        SELECT * FROM asgi_push.channels n WHERE n.sweep_at <= t ORDER BY n.sweep_at LIMIT channels
        FOR UPDATE SKIP LOCKED
    LOOP
        swept := swept + 1;
        IF c.expires_at <= t THEN
            c.low := c.top;
        END IF;
        DELETE FROM asgi_push.items i WHERE i.channel = c.channel AND i.seq IN (
            SELECT k.seq FROM asgi_push.items k
            WHERE k.channel = c.channel AND k.at < t - asgi_push.live_time()
            AND (k."offset" IS NULL OR k."offset" <= c.low)
            ORDER BY k.seq LIMIT most
        );
        GET DIAGNOSTICS many = ROW_COUNT;
        next_time := t;
        IF many = most THEN
            more := true;
        ELSIF EXISTS (SELECT FROM asgi_push.items i WHERE i.channel = c.channel AND (
            i."offset" IS NULL OR i."offset" <= c.low
        )) THEN
            next_time := t + asgi_push.live_time();
        ELSIF c.top > c.low THEN
            next_time := greatest(c.expires_at, t + asgi_push.live_time());
        ELSIF c.keep_until > t THEN
            next_time := c.keep_until;
        ELSE
            DELETE FROM asgi_push.channels n WHERE n.channel = c.channel;
            CONTINUE;
        END IF;
        UPDATE asgi_push.channels n SET sweep_at = next_time, low = c.low WHERE n.channel = c.channel;
    END LOOP;
    DELETE FROM asgi_push.results r WHERE (r.channel, r.key) IN (
        SELECT o.channel, o.key FROM asgi_push.results o WHERE o.at < t - interval '300 seconds'
        ORDER BY o.at LIMIT most FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS many = ROW_COUNT;
    more := more OR many = most;
    DELETE FROM asgi_push.inbox i WHERE (i.channel, i.id) IN (
        SELECT o.channel, o.id FROM asgi_push.inbox o WHERE o.expires_at <= t
        ORDER BY o.expires_at LIMIT most FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS many = ROW_COUNT;
    RETURN more OR swept = channels OR many = most;
END $$;

-- Forgets processes that live no more, and who was in them; one that goes on after all writes it
-- anew, as it is not known any more.
CREATE FUNCTION asgi_push.bury() RETURNS void LANGUAGE sql AS $$
    WITH dead AS (
        DELETE FROM asgi_push.processes WHERE process IN (
            SELECT process FROM asgi_push.processes
            WHERE until < clock_timestamp() - interval '10 seconds' FOR UPDATE SKIP LOCKED
        ) RETURNING process
    )
    DELETE FROM asgi_push.presence WHERE process IN (SELECT process FROM dead);
$$;

-- Nobody else may do anything with it, until somebody says so.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA asgi_push FROM PUBLIC;

-- A name to call from anywhere, if there is a place for it.
DO $$
BEGIN
    IF has_schema_privilege('public', 'CREATE') THEN
        CREATE OR REPLACE FUNCTION public.asgi_push_publish(channel text, data text, idempotency_key text DEFAULT NULL)
        RETURNS void LANGUAGE sql AS 'SELECT asgi_push.publish(channel, data, idempotency_key)';
        CREATE OR REPLACE FUNCTION public.asgi_push_publish(channel text, data json, idempotency_key text DEFAULT NULL)
        RETURNS void LANGUAGE sql AS 'SELECT asgi_push.publish(channel, data, idempotency_key)';
        CREATE OR REPLACE FUNCTION public.asgi_push_publish(channel text, data jsonb, idempotency_key text DEFAULT NULL)
        RETURNS void LANGUAGE sql AS 'SELECT asgi_push.publish(channel, data, idempotency_key)';
    END IF;
EXCEPTION WHEN invalid_schema_name THEN
    NULL; -- there is no schema "public" here
END $$;
