/**
 * Tables and functions, in a schema of their own. Every publication of one moment goes through one call of `publish_1`: one round trip, one commit.
 *
 * | table  | holds                                                                                     |
 * | ------ | ----------------------------------------------------------------------------------------- |
 * | head   | one row per channel: the lock under which offsets are given out, the chain of epochs      |
 * | log    | the publications; read by channel and offset, deleted in the background                    |
 * | key    | idempotency keys and the positions that they got                                           |
 * | relay  | publications without history and control messages, for a minute; unlogged                  |
 * | outbox | publications of applications' own transactions, until they are moved to the log            |
 *
 * Channels are text in the C collation: compared by bytes, in one order for all, which is the order in which rows are locked.
 */
const version = 1;

/** What `migrate: true` runs, for a DBA to run instead. Safe to run again. @param schema as in the options; default `zuruf`. */
export function schemaSql(schema = "zuruf"): string {
  return `
create schema if not exists ${schema};
create table if not exists ${schema}.version (version integer primary key);
create table if not exists ${schema}.head (
  channel text collate "C" primary key,
  head bigint not null default 0,
  chain text not null,
  incarnation text not null,
  -- Bytes appended so far; what retention keeps at most: publications and bytes (0: no bound).
  total bigint not null default 0,
  size bigint not null default 0,
  bytes bigint not null default 0,
  expires timestamptz not null
) with (fillfactor = 70);
create table if not exists ${schema}.log (
  channel text collate "C" not null,
  "offset" bigint not null,
  -- Bytes appended to the channel up to here, this one included.
  total bigint not null,
  expires timestamptz not null,
  data bytea not null,
  primary key (channel, "offset")
);
alter table ${schema}.log alter column data set storage external;
create index if not exists log_expires on ${schema}.log (expires);
create table if not exists ${schema}.key (
  channel text collate "C" not null,
  key text collate "C" not null,
  position text not null,
  expires timestamptz not null,
  primary key (channel, key)
);
create index if not exists key_expires on ${schema}.key (expires);
create unlogged table if not exists ${schema}.relay (
  batch bigint not null,
  n integer not null,
  channel text collate "C" not null,
  data bytea not null,
  at timestamptz not null default now(),
  primary key (batch, n)
);
create sequence if not exists ${schema}.batch;
create table if not exists ${schema}.outbox (
  id bigint generated always as identity primary key,
  channel text collate "C" not null,
  data bytea not null,
  size bigint not null,
  ttl bigint not null,
  bytes bigint not null,
  key text collate "C"
);

-- One life of the server: what it may have forgotten (fsync off, a restored backup, a standby that took over), it forgot between two of them.
create or replace function ${schema}.incarnation_1() returns text language sql stable as $$
  select extract(epoch from pg_postmaster_start_time())::text
$$;

-- A chain with one more link, without the links that no kept entry needs any more.
create or replace function ${schema}.link_1(p_chain text, p_epoch text, p_first bigint, p_kept bigint) returns text language plpgsql immutable as $$
declare
  v_link text;
  v_links text[] := '{}';
begin
  foreach v_link in array string_to_array(p_chain || ' ' || p_epoch || ':' || p_first, ' ') loop
    if split_part(v_link, ':', 2)::bigint < p_kept then v_links := '{}'; end if;
    v_links := v_links || v_link;
  end loop;
  return array_to_string(v_links, ' ');
end $$;

-- Announces texts as few notifications: each at most 8,000 bytes.
create or replace function ${schema}.hint_1(p_listeners text, p_kind text, p_words text[]) returns void language plpgsql as $$
declare
  v_word text;
  v_hint text := p_kind;
begin
  foreach v_word in array coalesce(p_words, '{}') loop
    if octet_length(v_hint) + octet_length(v_word) > 7000 then
      perform pg_notify(p_listeners, v_hint);
      v_hint := p_kind;
    end if;
    v_hint := v_hint || ' ' || v_word;
  end loop;
  if v_hint <> p_kind then perform pg_notify(p_listeners, v_hint); end if;
end $$;

-- The heads of channels, made where there is none. Heads that are asked for live on.
create or replace function ${schema}.heads_1(p_channels text[], p_epoch text) returns table (channel text, chain text, head bigint) language plpgsql as $$
begin
  insert into ${schema}.head as h (channel, chain, incarnation, expires)
    select c, p_epoch || ':0', ${schema}.incarnation_1(), now() + interval '7 days' from unnest(p_channels) c
    where not exists (select from ${schema}.head x where x.channel = c)
    order by c
    on conflict do nothing;
  update ${schema}.head h set expires = now() + interval '7 days'
    where h.channel = any(p_channels) and h.expires < now() + interval '3.5 days';
  return query select h.channel, h.chain, h.head from ${schema}.head h where h.channel = any(p_channels);
end $$;

-- Appends and announces. p_blob holds all data in one piece; answers one 'epoch offset' per publication, in order, divided by newlines.
create or replace function ${schema}.publish_1(
  p_channels text[], p_lengths bigint[], p_blob bytea, p_sizes bigint[], p_ttls bigint[], p_bytes bigint[], p_keys text[],
  p_epoch text, p_key_window bigint, p_listeners text
) returns text language plpgsql as $$
declare
  v_incarnation text := ${schema}.incarnation_1();
  v_names text[];
  v_answer text;
  v_hints text[];
  v_count int;
begin
  -- What is acknowledged is on disk, whatever the default of the server is.
  if current_setting('synchronous_commit') = 'off' then perform set_config('synchronous_commit', 'on', true); end if;
  select array_agg(c order by c) into v_names from (select distinct c collate "C" as c from unnest(p_channels) c) d;
  insert into ${schema}.head (channel, chain, incarnation, expires)
    select c, p_epoch || ':0', v_incarnation, now() + interval '7 days' from unnest(v_names) c
    where not exists (select from ${schema}.head x where x.channel = c)
    order by c
    on conflict do nothing;
  -- All in one order, so that two calls never wait for each other.
  perform from ${schema}.head h where h.channel = any(v_names) order by h.channel for no key update;
  get diagnostics v_count = row_count;
  -- A head that expired at this very moment: the caller tries again.
  if v_count <> cardinality(v_names) then raise exception 'a head is gone' using errcode = 'serialization_failure'; end if;
  with item as (
    select u.n, u.channel collate "C" as channel, u.key collate "C" as key, u.size, u.ttl, u.bytes, u.length,
      (sum(u.length) over (order by u.n) - u.length + 1)::int as start
    from unnest(p_channels, p_lengths, p_sizes, p_ttls, p_bytes, p_keys) with ordinality u (channel, length, size, ttl, bytes, key, n)
  ), known as (
    select i.n, k.position from item i join ${schema}.key k on k.channel = i.channel and k.key = i.key where k.expires > now()
  ), fresh as (
    select i.*, row_number() over w as nth, sum(i.length) over w as run
    from item i where not exists (select from known where known.n = i.n)
    window w as (partition by i.channel order by i.n)
  ), counted as (
    select f.channel, max(f.nth) as count, max(f.run) as length, max(f.ttl) as ttl,
      (array_agg(f.size order by f.n desc))[1] as size, (array_agg(f.bytes order by f.n desc))[1] as bytes
    from fresh f group by f.channel
  ), moved as (
    update ${schema}.head h set
      head = h.head + c.count, total = h.total + c.length, size = c.size, bytes = c.bytes,
      expires = greatest(h.expires, now() + greatest(c.ttl * 10, 604800000) * interval '1 millisecond'),
      incarnation = v_incarnation,
      chain = case when h.incarnation = v_incarnation then h.chain else ${schema}.link_1(h.chain, p_epoch, h.head + 1,
        coalesce((select min(l."offset") from ${schema}.log l where l.channel = h.channel), h.head + 1)) end
    from counted c where h.channel = c.channel
    returning h.channel, h.head, h.head - c.count as before, h.total - c.length as total, substring(h.chain from '([^ :]+):[0-9]+$') as epoch
  ), logged as (
    insert into ${schema}.log (channel, "offset", total, expires, data)
    select f.channel, m.before + f.nth, m.total + f.run, now() + f.ttl * interval '1 millisecond', substring(p_blob from f.start for f.length::int)
    from fresh f join moved m on m.channel = f.channel
  ), keyed as (
    insert into ${schema}.key as k (channel, key, position, expires)
    select f.channel, f.key, m.epoch || ' ' || (m.before + f.nth), now() + p_key_window * interval '1 millisecond'
    from fresh f join moved m on m.channel = f.channel where f.key is not null
    on conflict (channel, key) do update set position = excluded.position, expires = excluded.expires
  )
  select
    (select string_agg(coalesce(k.position, m.epoch || ' ' || (m.before + f.nth)), E'\\n' order by i.n)
      from item i left join known k on k.n = i.n left join fresh f on f.n = i.n left join moved m on m.channel = i.channel),
    (select array_agg(m.head || '=' || m.channel) from moved m)
  into v_answer, v_hints;
  perform ${schema}.hint_1(p_listeners, 'log', v_hints);
  return v_answer;
end $$;

-- Announces without history. Losing it in a crash is allowed, so nobody waits for the disk.
create or replace function ${schema}.relay_1(p_channels text[], p_lengths bigint[], p_blob bytea, p_listeners text) returns void language plpgsql as $$
declare
  v_batch bigint := nextval('${schema}.batch');
begin
  perform set_config('synchronous_commit', 'off', true);
  insert into ${schema}.relay (batch, n, channel, data)
    select v_batch, n, channel, substring(p_blob from (sum(length) over (order by n) - length + 1)::int for length::int)
    from unnest(p_channels, p_lengths) with ordinality u (channel, length, n);
  perform ${schema}.hint_1(p_listeners, 'relay ' || v_batch, (select array_agg(distinct c) from unnest(p_channels) c));
end $$;

-- Moves committed rows of the outbox to the log, in the order of their ids; returns how many. One mover at a time; nobody waits.
create or replace function ${schema}.move_outbox_1(p_limit int, p_epoch text, p_key_window bigint, p_listeners text) returns int language plpgsql as $$
declare
  r record;
begin
  if not pg_try_advisory_xact_lock(hashtext('${schema}.outbox')) then return 0; end if;
  with gone as (
    delete from ${schema}.outbox where id in (select id from ${schema}.outbox order by id limit p_limit for update skip locked) returning *
  )
  select count(*)::int as count, array_agg(channel order by id) as channels, array_agg(octet_length(data)::bigint order by id) as lengths,
    string_agg(data, ''::bytea order by id) as blob, array_agg(size order by id) as sizes, array_agg(ttl order by id) as ttls,
    array_agg(bytes order by id) as bytes, array_agg(key order by id) as keys
  into r from gone;
  if r.count > 0 then
    perform ${schema}.publish_1(r.channels, r.lengths, r.blob, r.sizes, r.ttls, r.bytes, r.keys, p_epoch, p_key_window, p_listeners);
  end if;
  return r.count;
end $$;

-- Deletes what retention does not keep, at most p_limit rows of each table; returns how many went. p_channels: those that have grown.
create or replace function ${schema}.trim_1(p_channels text[], p_limit int) returns int language plpgsql as $$
declare
  v_all int := 0;
  v_count int;
begin
  delete from ${schema}.log l using (
    select x.channel, x."offset" from ${schema}.head h join ${schema}.log x on x.channel = h.channel
    where h.channel = any(p_channels)
      and (x."offset" <= h.head - h.size or (h.bytes > 0 and x."offset" < h.head and h.total - x.total + octet_length(x.data) > h.bytes))
    limit p_limit
  ) d where l.channel = d.channel and l."offset" = d."offset";
  get diagnostics v_count = row_count;
  v_all := v_all + v_count;
  if pg_try_advisory_xact_lock(hashtext('${schema}.trim')) then
    delete from ${schema}.log where (channel, "offset") in (select channel, "offset" from ${schema}.log where expires < now() limit p_limit);
    get diagnostics v_count = row_count;
    v_all := v_all + v_count;
    delete from ${schema}.key where (channel, key) in (select channel, key from ${schema}.key where expires < now() limit p_limit);
    get diagnostics v_count = row_count;
    v_all := v_all + v_count;
    delete from ${schema}.relay where (batch, n) in (select batch, n from ${schema}.relay where at < now() - interval '1 minute' limit p_limit);
    get diagnostics v_count = row_count;
    v_all := v_all + v_count;
    delete from ${schema}.head where channel in (select channel from ${schema}.head where expires < now() limit p_limit for update skip locked);
  end if;
  return v_all;
end $$;

insert into ${schema}.version values (${version}) on conflict do nothing;
`;
}
