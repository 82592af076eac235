/* What the commands share. A command is a thin client of files in the caller's namespace: it writes
 * a line, reads a text, and when that fails says why in full, by /mnt/ns/err.
 *
 * Exit status: 0 done, 1 it failed (one line on standard error), 2 it was called wrongly.
 */
#ifndef COGNU_CMD_H
#define COGNU_CMD_H

#include <cognu/base.h>

enum {
    CMD_PATH_BYTES = 4096,
    CMD_TEXT_BYTES_MAX = 4 << 20, /* what a command reads into memory: a long listing */
};

struct cmd {
    const char *name;
    const char *usage; /* the forms, one a line, without the name's repetition */
    const char *about; /* one sentence */
};

/* First thing in main: prints the help for --help, and keeps cmd for messages. */
void cmd_begin(const struct cmd *cmd, int argc, char **argv);
_Noreturn void cmd_usage(void);
_Noreturn void cmd_fail(const char *fmt, ...) CG_PRINTF(1, 2);
/* cmd_fail for an operation on path that has just set errno; adds the text of /mnt/ns/err. */
_Noreturn void cmd_fail_at(const char *path, const char *what);

/* Absolute, by the working directory, without "." elements; symbolic links are left alone. */
void cmd_absolute(const char *path, char out[CMD_PATH_BYTES]);
/* Writes text in one piece to a control file; does not return when it fails. */
void cmd_write(const char *path, const char *text);
/* A file's whole text, never NULL; the caller frees it with cg_free. */
char *cmd_read(const char *path);
void cmd_cat(const char *path);
/* Writes a command and reads its answer, on one open file. */
void cmd_ask(const char *path, const char *line, char *answer, size_t cap);
/* Offers path of the caller's namespace, as srv/export has it; mode is "ro" or "rw", users (may be
 * NULL) are words. The export lasts as long as the descriptor that is given; name is set. */
int cmd_export(const char *wanted, const char *mode, const char *path, const char *users,
               char *name, size_t cap);
/* Ends it and closes the descriptor: after this nobody reads from it. */
void cmd_export_end(int fd);
/* The name of the node that the caller is on. */
const char *cmd_node(void);

/* A node whose trees are at /n/NAME from now on; does not return when the cell has none such. */
void cmd_need_node(const char *name);
/* The path of a process's file; operand is [NODE/]PID. Does not return when there is no such one.
 */
void cmd_process(const char *operand, const char *file, char path[CMD_PATH_BYTES]);

/* A line of words for a control file, quoted so that it reads back as the same words. */
struct cmd_line {
    struct cg_str text;
};
void cmd_word(struct cmd_line *l, const char *word);
void cmd_send(struct cmd_line *l, const char *path); /* writes and frees it */

/* The options -a, -b, -c before the operands of bind, mount and import go into the line as they
 * are. Gives the index of the first operand. ticket (may be NULL: there is no such option) is set
 * to the file of -k. */
int cmd_union_options(struct cmd_line *l, int argc, char **argv, const char **ticket);

#endif
