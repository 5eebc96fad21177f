/**
 * No machine has more processes and threads (PID_MAX_LIMIT, linux/threads.h), so as a limit this is none. It is set instead of
 * `max`, which config.json calls -1 and crun cannot write.
 */
export const mostPids = 4_194_304
