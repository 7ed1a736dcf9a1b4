/* monitor.h: what the monitor's files say to each other.
 *
 *     monitor.c            main: the steps of a container's life, in order
 *     monitor_plan.c       the plan and what comes with it, from the owner
 *     monitor_settings.c   the monitor's side of the plan, as a struct
 *     monitor_health.c     the container's health: checks by a timer, and what comes of them
 *     monitor_probe.c      one run of the check, in a process of its own
 *     monitor_delay.c      a monitor without a container: a time passes, the hook runs
 *     monitor_loop.c       epoll: one descriptor, one function
 *     monitor_output.c     from the container to the log and to clients
 *     monitor_input.c      from clients to the container
 *     monitor_clients.c    the owner and attach.sock: messages in, messages out
 *     monitor_record.c     the run directory: lock, started, exit; the exit hook
 *     log.c, encode.c      the log file
 *
 * One process, no threads, every descriptor close-on-exec, no descriptor ever waited for but in the loop.
 */
#ifndef MINIRUN_MONITOR_H
#define MINIRUN_MONITOR_H

#include "internal.h"

#include <sys/epoll.h>

#include "log.h"

/* ---- Loop (monitor_loop.c) ------------------------------------------------------------------------------------------- */

/* A descriptor and what to do when it is ready. `events` are EPOLL*; with none the descriptor isn't watched at all, since epoll
 * reports hang-ups that nobody asked for, again and again. */
struct watch {
	int fd; /* -1: closed */
	uint32_t events;
	void (*ready)(void *context);
	void *context;
};

int loop_init(void);
void watch_open(struct watch *watch, int fd, void (*ready)(void *), void *context);
void watch_for(struct watch *watch, uint32_t events);
void watch_close(struct watch *watch); /* closes the descriptor as well; harmless when it is closed */
/* Opens a pipe for a watch that is set up but for its descriptor: our end, which doesn't block, to read (O_RDONLY) or to write
 * (O_WRONLY). 0 or -errno. */
int watch_pipe(struct watch *watch, int mode, int *theirs);
int set_nonblocking(int fd);
/* Waits for one descriptor and calls its function; false after timeout_ms (-1: none) without any. */
bool loop_turn(int timeout_ms);

/* ---- Plan (monitor_plan.c) ------------------------------------------------------------------------------------------- */

/* Waits for the plan: a descriptor of its file, or -errno: -ECANCELED when the owner has gone. *network: a network namespace for the
 * container that was asked for and made meanwhile, or -1. *ahead: we were launched ahead, and have left our streams. */
int plan_await(int socket, int *network, bool *ahead);
/* Lets go of the caller's terminal or pipes: who reads them shall see their end. */
void leave_stdio(void);
/* Closes the descriptors that were only to be held. */
void plan_release_held(void);

/* ---- Settings (monitor_settings.c) ----------------------------------------------------------------------------------- */

/* A health check; all of it is a copy that outlives the plan. */
struct health_settings {
	const void *plan; /* a further process of the container; NULL: there is no check */
	uint64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns, retries;
	const char *late; /* what is said of one that didn't end in time */
	const char *path; /* of the file `health` */
};

/* What the plan's monitor side asks for. Strings point into the plan; `hook` and `health` are copies that outlive it. */
struct settings {
	struct health_settings health;
	const char *log_path, *run_directory, *cgroup;
	uint64_t log_bytes, log_files;
	struct mr_argument log_attributes;
	enum mr_stdio stdio;
	uid_t stdio_uid; /* 0: the pipes stay ours */
	gid_t stdio_gid;
	bool open_stdin, await_owner;
	bool delays; /* nothing is started: `delay_ns`, then the hook */
	uint64_t delay_ns;
	char **hook, **hook_environment; /* NULL: none */
	uint32_t log_operation, run_operation; /* places in the plan, for FAILED */
};

/* 0, or -errno with *failed the place of the operation. */
int settings_read(struct settings *settings, const void *plan, size_t length, uint32_t *failed);

/* ---- Delay (monitor_delay.c) ----------------------------------------------------------------------------------------- */

/* Tells the owner STARTED, lets `delay_ns` pass and runs the hook, unless the run directory is removed before. 0, or -errno with
 * nothing told and nothing left. */
int delay_run(const struct settings *settings);

/* ---- Health (monitor_health.c, monitor_probe.c) ------------------------------------------------------------------------ */

/* Begins to check what runs as `pid` in `cgroup` (a descriptor or -1) from now on; nothing when no check was asked for. 0 or -errno. */
int health_begin(const struct settings *settings, pid_t pid, int cgroup);
/* Ends it, a check that runs at this moment too. */
void health_end(void);

struct probe {
	const void *plan;
	const char *pid; /* whose namespaces */
	uint64_t start_time, timeout_ns;
	uid_t stdio_uid; /* as in the settings */
	gid_t stdio_gid;
	pid_t monitor; /* whose child a prober is */
};

/* PROBE_KILLED: its process was, before it could say anything. */
enum probe_end { PROBE_KILLED, PROBE_ENDED, PROBE_LATE, PROBE_NOT_STARTED };

struct probe_outcome {
	enum probe_end kind;
	int code; /* 0 to 255, or 128 + n; with PROBE_ENDED */
};

/* In a new process: runs the check, its output to `output`, says what came of it, and exits. */
_Noreturn void probe_run(const struct probe *probe, int output, struct probe_outcome *outcome);

/* ---- Streams and clients ------------------------------------------------------------------------------------- */

enum { STREAM_OUT = MR_LOG_STDOUT, STREAM_ERR = MR_LOG_STDERR, STREAMS = 2 };

/* Where one client gets one stream: the write end of a pipe that the client made. */
struct delivery {
	struct watch pipe;
	struct client *client;
	enum mr_log_stream stream;
	bool blocked; /* the stream waits for this pipe */
	char *backlog; /* what the pipe had no room for; NULL: nothing */
	size_t start, end;
};

#define CLIENTS 32

struct client {
	struct watch socket;
	struct watch input; /* read end of its stdin pipe */
	struct delivery output[STREAMS];
	bool owner, attached, closing_stdin, trace;
	bool told; /* has been sent EXITED */
};

/* ---- Output (monitor_output.c) ------------------------------------------------------------------------------- */

#define PIPE_SIZE (1 << 20) /* of a stream that flows; /proc/sys/fs/pipe-max-size */

/* Makes the pipes that a STDIO mode asks for; the child's ends go to `child`, where nothing is needed it stays as it is. */
int output_prepare(const struct settings *settings, int child[3]);
void output_log_to(struct mr_log *log);
/* Begins to read. terminal: the pty master, or -1. */
void output_start(int terminal);
/* Reads and logs what the dead container left in its pipes, without regard for slow clients. */
void output_drain(void);
void output_end_log(void);
bool output_is_warm(void); /* something came since output_idle */
void output_idle(void); /* gives memory back */
void output_resize(uint64_t rows_and_columns);

void output_attach(struct client *client, enum mr_log_stream stream, int fd);
void output_detach(struct client *client);
bool output_owes(const struct client *client); /* something is waiting for this client's pipe */

/* ---- Input (monitor_input.c) --------------------------------------------------------------------------------- */

int input_prepare(const struct settings *settings, int child[3]);
void input_start(int terminal);
/* Closes the container's stdin: it reads what is in the pipe, then the end. */
void input_close(void);

void input_attach(struct client *client, int fd);
void input_close_for(struct client *client); /* the same, once what this client has said so far is through */
void input_detach(struct client *client);

/* ---- Clients (monitor_clients.c) ------------------------------------------------------------------------------------- */

extern struct client clients[CLIENTS];

void clients_init(int owner_socket);
/* Serves attach.sock in the run directory. 0 or -errno. */
int clients_listen(int run_directory);
/* Waits until the owner has attached; -ECANCELED when it hung up instead. */
int clients_await_owner(void);
/* Takes what the owner has said already; is it to be told about each operation? */
bool clients_trace(void);
void clients_report(void *context, const struct mr_message *message); /* TRACE and FAILED, to the owner */
/* Tells the owner, and whoever attaches later. */
void clients_started(const struct mr_message *message);
/* Tells the exit to each client as soon as it has been given all output. */
void clients_exited(const struct mr_message *message);
void clients_settle(struct client *client); /* its output has been handed over: tell it, if there is something to tell */
bool clients_owner_waits(void); /* there is an owner who hasn't acknowledged */
bool clients_others_wait(void); /* others have yet to be told */
bool clients_acknowledged(void);
void clients_close_owner(void);

/* ---- Record (monitor_record.c) --------------------------------------------------------------------------------------- */

/* Opens the run directory, takes its lock, removes what an earlier run left: a descriptor or -errno. */
int record_open(const char *path, int *lock);
int record_started(int directory, pid_t pid, uint64_t time_ns);
int record_exit(int directory, int status, bool oom_killed, uint64_t time_ns);
void record_remove(int directory); /* after a start that failed */
bool record_oom_killed(int cgroup);
bool record_is_frozen(int cgroup);
uint64_t record_start_time(pid_t pid); /* as mr_start_time; 0 when there is no such process */
/* Starts a hook, with one more word unless that is NULL: its process id (*pidfd set) or -errno. */
pid_t record_start_hook(char **argv, const char *word, char **environment, int *pidfd);
/* Runs the hook and waits for its end, or for HOOK_SECONDS. */
void record_run_hook(char **argv, const char *word, char **environment);
#define HOOK_SECONDS 120
/* Makes the kernel prefer any other process when memory runs out, if we may. */
void record_protect(void);
void record_unprotect(void); /* for a child that becomes something else */

#endif
