-- The roles of Kaoping. Run once per server, connected to Kaoping's database, by a superuser or by a role that has
-- CREATEROLE and owns the database:
--
--     psql -d kaoping -f roles.sql
--
-- PostgreSQL 15 or later. It makes what is missing, changes nothing that it did not make except the rights named below, and can be run again.
-- The login roles are made without a password; give each one yours before the program connects:
--
--     ALTER ROLE kp_migrate PASSWORD '…';   -- KAOPING_DATABASE_OWNER_URL
--     ALTER ROLE kp_app PASSWORD '…';       -- KAOPING_DATABASE_URL
--
-- None of them is a superuser or passes row-level security by. kp_owner owns the tables and cannot log in; migrations
-- log in as kp_migrate and SET ROLE to it. The API and the workers log in as kp_app, which is no member of kp_owner;
-- inside a transaction of the dispatcher they SET ROLE to kp_dispatch, which sees the jobs of all districts and nothing
-- else. kp_read is for reports of one's own, bound by row-level security like everyone.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kp_owner') THEN
        CREATE ROLE kp_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kp_migrate') THEN
        CREATE ROLE kp_migrate LOGIN NOINHERIT;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kp_app') THEN
        -- NOINHERIT: the rights of the dispatcher are there only after SET ROLE, never by the way.
        CREATE ROLE kp_app LOGIN NOINHERIT;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kp_dispatch') THEN
        CREATE ROLE kp_dispatch NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kp_read') THEN
        CREATE ROLE kp_read NOLOGIN;
    END IF;
    IF NOT pg_has_role('kp_migrate', 'kp_owner', 'MEMBER') THEN
        GRANT kp_owner TO kp_migrate;
    END IF;
    IF NOT pg_has_role('kp_app', 'kp_dispatch', 'MEMBER') THEN
        GRANT kp_dispatch TO kp_app;
    END IF;

    -- Whoever may make roles, but is no superuser, does not get the right to act as them by that.
    -- Before PostgreSQL 16 every membership carries that right, since then one may lack it.
    IF NOT pg_has_role(
        current_user, 'kp_owner', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END
    ) THEN
        EXECUTE format('GRANT kp_owner TO %I', current_user);
    END IF;

    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO kp_migrate, kp_app, kp_read', current_database());
    EXECUTE format('GRANT CREATE ON DATABASE %I TO kp_owner', current_database());
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO kp_owner;
GRANT USAGE ON SCHEMA public TO kp_app, kp_dispatch, kp_read;

-- A migration gives way rather than stop the program behind it: it waits this long for a lock, then fails as a whole.
ALTER ROLE kp_migrate SET lock_timeout = '5s';
ALTER ROLE kp_migrate SET idle_in_transaction_session_timeout = '5min';

ALTER ROLE kp_app SET statement_timeout = '60s';
ALTER ROLE kp_app SET lock_timeout = '5s';
ALTER ROLE kp_app SET idle_in_transaction_session_timeout = '60s';
-- Policies compare with a setting of the session, not with a constant: a plan made for one tenant is right for all, and
-- planning anew each time costs more than it finds.
ALTER ROLE kp_app SET plan_cache_mode = 'force_generic_plan';

ALTER ROLE kp_read SET statement_timeout = '60s';
ALTER ROLE kp_read SET idle_in_transaction_session_timeout = '60s';
