/* debug: what a debugger does to a process, by its files: see README.md. The host's ptrace does it.
 *
 * A process is held by the open `ctl` by which it was attached, and goes on when that is closed, so
 * that a debugger that dies leaves it as it was. Its first thread is what is held, stopped and
 * looked at; other threads run on.
 */
#ifndef PROC_DEBUG_H
#define PROC_DEBUG_H

#include <cognu/synth.h>
#include <uv.h>

enum {
    DEBUGGED_MAX = 64, /* processes of one node that are held at once */
};

void debug_init(uv_loop_t *loop);
/* The words of ctl: attach, detach, stop, start, step, waitstop. owner stands for the open file;
 * the request is answered when what it asks for has happened. False: it is none of these words. */
bool debug_ctl(void *owner, uint64_t pid, const char *word, struct ninep_req *r);
void debug_cancel(struct ninep_req *r);
void debug_close(void *owner); /* detaches */
bool debug_holds(uint64_t pid);

/* Of a process that is held and stopped. regs: a line each, NAME 0xVALUE. */
cg_err debug_regs(uint64_t pid, struct cg_str *out, struct cg_errbuf *eb);
cg_err debug_set_regs(uint64_t pid, char *text, struct cg_errbuf *eb);
cg_err debug_poke(uint64_t pid, uint64_t at, struct cg_span data, struct cg_errbuf *eb);
/* `none`, `running`, `stopped SIGNAL`, `gone`. */
cg_err debug_state(uint64_t pid, struct cg_str *out);

/* regs_ARCH.c: the registers by their names. */
cg_err regs_read(pid_t pid, struct cg_str *out);
cg_err regs_write(pid_t pid, const char *name, uint64_t value, struct cg_errbuf *eb);

#endif
