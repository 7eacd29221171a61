-- Why: a worker that the server cannot reach dials in. It is let in by an enrolment token, once, and by a token of its own
-- from then on; of both only the SHA-256 is kept.

alter table workers drop constraint workers_transport_check;
alter table workers add constraint workers_transport_check check (transport in ('ssh', 'local', 'dial-in'));

create table worker_enrolments (
  token_hash  bytea primary key,
  worker_id   text not null references workers on delete cascade,
  created_at  timestamptz not null default now(),
  expires_at  timestamptz not null,
  used_at     timestamptz,
  -- A later enrolment of the same worker took its place.
  revoked_at  timestamptz
);
create index worker_enrolments_of on worker_enrolments (worker_id);

create table worker_tokens (
  token_hash  bytea primary key,
  worker_id   text not null references workers on delete cascade,
  created_at  timestamptz not null default now(),
  revoked_at  timestamptz
);
create index worker_tokens_of on worker_tokens (worker_id);
