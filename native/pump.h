/* pump.h: a client's side of the relay: our stdin, stdout and stderr to and from the monitor's pipes.
 *
 * Owns: moving bytes, the detach keys, noticing what happens meanwhile. Leaves to others: what an event means (Python).
 */
#ifndef MINIRUN_PUMP_H
#define MINIRUN_PUMP_H

#include "minirun.h"

/*     our stdin ----> lanes[0] ----> monitor's pipe        keys are looked for here
 *     our stdout <--- lanes[1] <---- monitor's pipe
 *     our stderr <--- lanes[2] <---- monitor's pipe
 *
 * mr_pump moves bytes until something happens that Python has to know, and gives one of these. It keeps its place: the next
 * call goes on where this one stopped. EXITED and HANG_UP come when all output is with its reader. */
/* python: begin */
#define MR_PUMP_EXITED 1 /* exited: the message */
#define MR_PUMP_SIGNAL 2 /* value: its number */
#define MR_PUMP_DETACHED 3 /* the detach keys were typed */
#define MR_PUMP_HANG_UP 4 /* the monitor is gone without a word */
#define MR_PUMP_BROKEN 5 /* value: 1 or 2, the stream that nobody reads any more; it is closed */

struct mr_lane {
	int source, target; /* -1: closed */
	int mode;
	int blocked; /* `target` has no room */
	uint32_t start, end;
	unsigned char bytes[32768]; /* read, not yet written */
};

struct mr_pump {
	int socket;
	int signals; /* a signalfd(2), or -1 */
	int value;
	uint32_t keys_length, keys_matched;
	unsigned char keys[32];
	struct mr_message exited; /* kind 0: not yet */
	struct mr_lane lanes[3];
};

/* Chooses how each lane moves its bytes; the ends that belong to the caller (lanes[0].source, lanes[1].target, lanes[2].target) keep
 * their own flags. Call once, before mr_pump. 0 or -errno. */
int mr_pump_prepare(struct mr_pump *pump);
/* Closes the pipes and what prepare has opened, never the caller's own descriptors. */
void mr_pump_close(struct mr_pump *pump);
/* Blocks. An MR_PUMP_* or -errno; -EINTR is for Python's own signal handlers: call again. */
int mr_pump(struct mr_pump *pump);
/* A signalfd for these signals, which the caller has blocked: a descriptor or -errno. signalfd(2). */
int mr_signal_descriptor(const int *numbers, int count);
/* An inotify descriptor, which doesn't block, for writes, renames and closes in a directory: or -errno. inotify(7). */
int mr_watch_directory(const char *path);
/* python: end */

#endif
