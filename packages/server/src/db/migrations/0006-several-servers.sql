-- Why: several servers share one database. Each holds a lease; whoever sees one run out ends the sessions of its holder and
-- takes over what it held. A worker belongs to the server that holds its link.

-- Never the same twice: what an earlier life of a server had under way is told apart from what it does now.
create sequence server_epochs;

create table server_leases (
  server_id   text primary key,
  epoch       bigint not null default nextval('server_epochs'),
  -- live; draining: takes nothing new; ended: its sessions are being ended, nothing it writes counts any more
  state       text not null default 'live' check (state in ('live', 'draining', 'ended')),
  url         text not null,
  version     text not null,
  -- Of the link to workers.
  protocol    int not null,
  -- Hash of the agent it gives to workers.
  agent       text not null,
  host        text not null,
  started_at  timestamptz not null default now(),
  expires_at  timestamptz not null
) with (fillfactor = 50);

-- What all servers of one database must agree on: which storage they share.
create table fleet_facts (
  name   text primary key,
  value  text not null
);

-- Asked of the server that holds a worker's link by another one, and answered in the same row.
create table server_calls (
  id           text primary key,
  to_server    text not null,
  name         text not null,
  arguments    jsonb not null,
  asked_at     timestamptz not null default now(),
  taken_at     timestamptz,
  answer       jsonb,
  failure      jsonb,
  answered_at  timestamptz
);
create index server_calls_open on server_calls (to_server) where taken_at is null;

-- Of a local worker: the server that made it, the machine it lives on, and its folder there.
alter table workers add column home_server text;
alter table workers add column host text;
alter table workers add column home text;
-- Since when there is no link to it; null while there is one.
alter table workers add column link_lost_at timestamptz;

alter table worker_metrics add column warm_projects text[] not null default '{}';

-- Placed by a server that does not hold the worker's link: the holder sends it, once.
alter table task_attempts add column to_send boolean not null default false;
create index task_attempts_to_send on task_attempts (worker_id) where to_send;
