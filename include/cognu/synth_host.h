/* synth_host: what the host's procfs tells of processes; for the servers that tell it on. */
#ifndef COGNU_SYNTH_HOST_H
#define COGNU_SYNTH_HOST_H

#include <cognu/base.h>

enum { SYNTH_HOST_FILE_BYTES_MAX = 1 << 20 }; /* of one file of procfs */

struct synth_host_process {
    char name[128]; /* 15 bytes, but kernel threads say more */
    char state;     /* proc(5) */
    uint64_t ppid, user_ms, system_ms, rss_bytes;
    uint64_t start_ticks; /* since the host's start */
};

/* /proc/PID/FILE, or /proc/FILE for pid 0; -1 and errno. */
int synth_host_open(uint64_t pid, const char *file, int flags);
/* All of it, appended to out. CG_ESTALE: the process is gone. */
cg_err synth_host_read(uint64_t pid, const char *file, struct cg_str *out, struct cg_errbuf *eb);
cg_err synth_host_process(uint64_t pid, struct synth_host_process *out, struct cg_errbuf *eb);
/* The text of /proc/PID/stat, which is cut in pieces. False: it is not as proc(5) says. */
bool synth_host_parse(char *stat, struct synth_host_process *out);
/* A name in /proc is that of a process. */
bool synth_host_is_pid(const char *name, uint64_t *pid);
/* The error behind a failed synth_host_open of a process. */
cg_err synth_host_why(uint64_t pid, struct cg_errbuf *eb);

#endif
