/* A job of the exec server: one command, its streams, and who waits for what. */
#ifndef EXEC_JOB_H
#define EXEC_JOB_H

#include <cognu/synth_stream.h>

enum {
    JOBS_MAX = 256,            /* commands at once on one node */
    WORDS_MAX = 4096,          /* of one command; a glob of a large folder */
    ENV_BYTES_MAX = 256 << 10, /* an eighth of what Linux gives words and variables together */
    NS_BYTES_MAX = 64 << 10,   /* as the adapter takes them; in one variable, see execve(2) */
    KILL_AFTER_MS = 2000,      /* from SIGHUP to SIGKILL */
    DRAIN_MS = 100,            /* bytes need no longer through the host's terminal */
};

enum job_state { JOB_NEW, JOB_RUNNING, JOB_ENDED };

struct job {
    struct cg_list link;
    uint64_t id;
    enum job_state state;
    uint64_t principal; /* who made it */
    char user[64];      /* what he is called */
    bool owned;         /* its ctl is open */
    bool telling;       /* its end is being told; it is freed after that */
    pid_t pid;
    bool tty;
    uint16_t rows, cols;
    char *dir;
    struct cg_str ns;    /* lines for the namespace of the command, which the launcher makes */
    bool clean;          /* these alone, without the node's own */
    struct cg_str env;   /* NAME=VALUE, each ended by NUL */
    struct cg_str words; /* as given, for status */
    struct synth_stream in, out, err;
    struct cg_list exit_waiters;
    int wait_status;
    uv_timer_t *timer; /* to kill it, or to end its terminal */
};

void jobs_init(uv_loop_t *loop, char **launcher, int launcher_words);
cg_err job_new(uint64_t principal, struct job **out);
struct job *job_by_id(uint64_t id);
struct job *job_after(uint64_t id); /* the one with the next higher number */
cg_err job_ctl(struct job *j, char *line, struct cg_errbuf *eb);
void job_disown(
    struct job *j); /* its ctl was closed: ends the command; frees the job when it has ended */
void job_wait_request(struct job *j, struct ninep_req *r); /* answers at the command's end */

#endif
