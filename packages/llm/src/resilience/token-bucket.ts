/** So much at once, so much again over time. A value: every take returns the bucket after it. */
export interface TokenBucket {
  readonly capacity: number;
  readonly refillPerMs: number;
  /** At `atMs`. Below zero: taken in advance by callers that wait. */
  readonly level: number;
  readonly atMs: number;
}

/** A bucket of a vendor's limit, full at the start. @param perMinute requests or tokens */
export function bucketPerMinute(perMinute: number, nowMs: number): TokenBucket {
  return { capacity: perMinute, refillPerMs: perMinute / 60_000, level: perMinute, atMs: nowMs };
}

/**
 * Takes an amount, now or in advance.
 *
 * @returns the bucket after it, and how long the caller has to wait before using what it took. Callers are served in the order they ask: a
 *   later one waits for what the earlier ones took in advance. More than the capacity is given too, after the wait it takes.
 */
export function take(bucket: TokenBucket, amount: number, nowMs: number): { bucket: TokenBucket; waitMs: number } {
  const level = levelAt(bucket, nowMs) - amount;
  return {
    bucket: { ...bucket, level, atMs: Math.max(nowMs, bucket.atMs) },
    waitMs: level >= 0 ? 0 : Math.ceil(-level / bucket.refillPerMs),
  };
}

/** Gives back what was taken and not used: an estimate that was too high, or a call that was not made. */
export function giveBack(bucket: TokenBucket, amount: number, nowMs: number): TokenBucket {
  return { ...bucket, level: Math.min(bucket.capacity, levelAt(bucket, nowMs) + amount), atMs: Math.max(nowMs, bucket.atMs) };
}

/** A clock that goes backwards adds nothing. */
function levelAt(bucket: TokenBucket, nowMs: number): number {
  return Math.min(bucket.capacity, bucket.level + Math.max(0, nowMs - bucket.atMs) * bucket.refillPerMs);
}
