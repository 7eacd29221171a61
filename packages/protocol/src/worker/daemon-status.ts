/**
 * Exit status of a daemon that found no room to write: the number that Linux gives the error. A status says so where the
 * log that would say it is on the full disk too.
 */
export const NO_ROOM_STATUS = 28;
