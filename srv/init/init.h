/* What the files of init share: the node, its components, their sockets and logs. One loop thread.
 */
#ifndef COGNU_INIT_H
#define COGNU_INIT_H

#include <cognu/keep.h>
#include <cognu/sandbox.h>
#include <uv.h>

enum {
    INIT_COMPONENTS_MAX = 64,         /* a node has about fifteen */
    INIT_FILES = 65536,               /* descriptors: its own few, and all that is kept */
    INIT_LOG_BYTES_MAX = 1024 * 1024, /* then NAME.log becomes NAME.log.1 */
    INIT_PAUSE_MS_MIN = 100,          /* before the second restart in a row; then doubling */
    INIT_PAUSE_MS_MAX = 5000,         /* a client's patience is 30 s */
    INIT_LEAVE_MS = 50,               /* from the end of its line to that of its process */
    INIT_STEADY_MS = 10000,           /* a component that ran so long restarts at once */
    INIT_USERS_MS = 1000,             /* at stop: for the users' programs */
    INIT_STOP_MS = 2000,              /* at stop: for the components */
    INIT_ARGV_MAX =
        MANIFEST_ARGS_MAX + 2 * (2 * MANIFEST_OFFERS_MAX + MANIFEST_SOCKETS_MAX + 1) + 2,
};

enum component_state {
    COMPONENT_ABSENT,  /* its program is not installed */
    COMPONENT_WAITING, /* to be started when its pause is over */
    COMPONENT_RUNNING,
    COMPONENT_STOPPED, /* by ctl, or ended with `restart never` */
};

/* A log file that is filled from a pipe. */
struct init_log {
    uv_poll_t poll;
    int read_fd, write_fd; /* the writers' end, kept open so that restarts do not end the log */
    int file;
    uint64_t bytes;
    const char *name;
};

struct component {
    struct init *init;
    struct manifest manifest;
    enum component_state state;
    bool wanted; /* ctl has not stopped it */
    pid_t pid;   /* when running */
    uint64_t started_ms;
    uint32_t pause_ms, starts;
    char why[CG_DETAIL_BYTES]; /* how it last ended or why it did not start */
    uv_timer_t pause;
    struct init_log log;
    struct keep_shelf shelf;
    struct init_line *line;  /* to the shelf, when running; NULL: its manifest asks for none */
    int fd[SANDBOX_FDS_MAX]; /* its listening sockets, open for as long as init lives, and: */
    uint32_t keep_at;        /* its end of the line, while it is started */
    uint32_t fds;
    char number[SANDBOX_FDS_MAX][8]; /* the text of their numbers in argv */
    char *argv[INIT_ARGV_MAX];
    char program[1024];
};

struct init {
    uv_loop_t loop;
    const char *node, *listen, *address, *state_dir, *bin_dir, *manifest_dir, *cmd_dir, *etc_dir,
        *man_dir;
    struct component component[INIT_COMPONENTS_MAX];
    uint32_t components;
    struct init_log own_log;
    bool console; /* logs are also copied to the first standard error */
    int console_fd;
    bool stopping;
    bool users_gone; /* at stop: only components are left */
    uint64_t stop_ms;
    uv_signal_t on_child, on_term, on_int;
    uv_timer_t stop_tick;
};

uint64_t init_now_ms(void);

/* options.c: fills in from the command line and reads the manifests. */
cg_err init_options(struct init *in, int argc, char **argv, struct cg_errbuf *eb);
cg_err init_load(struct init *in, struct cg_errbuf *eb);

/* node.c: the node's own root, name and loopback. After it, paths are those of the node. */
cg_err init_enter_node(struct init *in, struct cg_errbuf *eb);

/* socket.c: makes every listening socket of c and writes its argv. */
cg_err component_sockets(struct component *c, struct cg_errbuf *eb);

cg_err init_listen(const char *path, int type, int *out, struct cg_errbuf *eb);

/* keep.c: a new line to c's shelf, whose other end is in c->fd; when it has been passed; when c has
 * ended. */
cg_err component_line_open(struct component *c, struct cg_errbuf *eb);
void component_line_passed(struct component *c);
void component_line_close(struct component *c);

/* service.c: serves init's own files on the loop. */
cg_err init_serve(struct init *in, struct cg_errbuf *eb);

/* log.c */
cg_err init_log_open(struct init *in, struct init_log *log, const char *name, struct cg_errbuf *eb);
void init_log_drain(struct init *in, struct init_log *log);

/* component.c */
void component_start(struct component *c);
void component_stop(struct component *c); /* asks it to end; it is not restarted */
void component_want(struct component *c); /* it shall run, from now or from its end on */
void component_ended(struct component *c, int status);
void component_left(struct component *c); /* it is gone, though its process is not */
struct component *component_by_pid(struct init *in, pid_t pid);
struct component *component_by_name(struct init *in, const char *name);

/* stop.c: the orderly end of the node. */
void init_stop(struct init *in);

#endif
