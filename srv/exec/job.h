/* A job of the exec server: one command, its streams, and who waits for what. */
#ifndef EXEC_JOB_H
#define EXEC_JOB_H

#include <cognu/synth_stream.h>

enum {
    JOBS_MAX = 256,      /* commands at once on one node */
    WORDS_MAX = 512,     /* of one command, and as many variables */
    KILL_AFTER_MS = 2000 /* from SIGHUP to SIGKILL */
};

enum job_state { JOB_NEW, JOB_RUNNING, JOB_ENDED };

struct job {
    struct cg_list link;
    uint64_t id;
    enum job_state state;
    bool owned; /* its ctl is open */
    pid_t pid;
    bool tty;
    uint16_t rows, cols;
    char *dir;
    char *env[WORDS_MAX];
    uint32_t env_count;
    struct cg_str words; /* as given, for status */
    struct synth_stream in, out, err;
    struct cg_list exit_waiters;
    int wait_status;
    uv_timer_t *killer;
};

void jobs_init(uv_loop_t *loop, char **launcher, int launcher_words);
cg_err job_new(struct job **out);
struct job *job_by_id(uint64_t id);
struct job *job_after(uint64_t id); /* the one with the next higher number */
cg_err job_ctl(struct job *j, char *line, struct cg_errbuf *eb);
void job_disown(
    struct job *j); /* its ctl was closed: ends the command; frees the job when it has ended */
void job_wait_request(struct job *j, struct ninep_req *r); /* answers at the command's end */

#endif
