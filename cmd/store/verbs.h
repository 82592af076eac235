/* What the verbs of `store` share: options, the store that they open, progress, names of snapshots.
 *
 * A verb is a function that gets the words after its name. It does not return when something fails:
 * cmd_fail says cause and cure on one line. Exit status: 0 done, 1 failed, 2 called wrongly. */
#ifndef COGNU_STORE_VERBS_H
#define COGNU_STORE_VERBS_H

#include "../cmd.h"

#include <cognu/store.h>

enum { EXCLUDES_MAX = 1024 };

struct options {
    const char *store;           /* -s: a folder, or | and a command that serves one */
    const char *passphrase_file; /* --passphrase-file */
    const char *recovery_file;   /* --recovery-file */
    enum store_level level;      /* --fast, --small */
    bool dry_run, json, quiet, one_fs, devices, append_only, data, force, active;
    bool listing; /* -l */
    const char *exclude[EXCLUDES_MAX];
    uint32_t excludes;
    const char *every, *domain, *copy;
    uint64_t budget; /* --budget, in bytes */
    uint32_t threads;
    uint32_t last, hourly, daily, weekly, monthly, yearly;
    uint64_t at_cursor;
};
extern struct options opt;

/* Opened once; every verb uses this one. */
struct store *verb_store(bool read_only);
struct store *verb_store_for_repair(void);
/* Opens another store beside it. */
struct store *verb_other(const char *where, bool read_only);
const struct store_io *verb_io(const char *where, bool create);
void verb_secret(struct store_secret *out, const char *prompt);
_Noreturn void verb_fail(cg_err e, const struct cg_errbuf *eb, const char *what);
void verb_close(void); /* closes what was opened */

/* ---- names of snapshots ---- */

/* NAME (the newest), NAME@DATE (the newest then), a full name, or a score; after a colon a path.
 * path borrows from text. */
struct selected {
    struct store_refinfo ref; /* name empty when a score was given */
    struct store_snapshot snap;
    const char *path;
};
void select_snapshot(struct store *s, const char *text, struct selected *out);
bool select_exists(struct store *s, const char *text, struct selected *out);
/* The entry that path names. keep owns what it borrows. */
void select_entry(struct store *s, const struct selected *sel, struct store_entry *out,
                  struct cg_str *keep);
void date_text(uint64_t time_ns, char out[32]); /* 2026-11-30T00:14:17Z */

/* ---- progress ---- */

/* One line on a terminal, at most ten times a second; with --json an object a second on standard
 * error. */
struct meter {
    const char *phase;
    uint64_t done, total, files; /* bytes */
    uint64_t began_ns, told_ns;
    bool shown;
    bool things; /* done and total are no bytes */
};
void meter_begin(struct meter *m, const char *phase, uint64_t total);
void meter_add(struct meter *m, uint64_t bytes, uint64_t files);
void meter_end(struct meter *m);
extern const struct store_progress verb_progress; /* for the library's long phases */
void verb_progress_end(void);
void size_text(uint64_t bytes, char out[16]);
/* A string as JSON, quotes included, to standard output. */
void json_string(const char *text, size_t len);

/* ---- verbs ---- */

int verb_init(int argc, char **argv);
int verb_put(int argc, char **argv);
int verb_get(int argc, char **argv);
int verb_ls(int argc, char **argv);
int verb_cat(int argc, char **argv);
int verb_find(int argc, char **argv);
int verb_snap(int argc, char **argv);
int verb_drop(int argc, char **argv);
int verb_keep(int argc, char **argv);
int verb_collect(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_scrub(int argc, char **argv);
int verb_repair(int argc, char **argv);
int verb_copy(int argc, char **argv);
int verb_stats(int argc, char **argv);
int verb_passphrase(int argc, char **argv);
int verb_dump(int argc, char **argv);
int verb_serve(int argc, char **argv);
int verb_parity(int argc, char **argv);
int verb_mount(int argc, char **argv);
int verb_with(int argc, char **argv);
int verb_history(int argc, char **argv);
int verb_diff(int argc, char **argv);

/* Names may hold anything: what a terminal would obey is shown as \\xHH. */
void print_name(const char *name, size_t len);
int snap_list(struct store *s, const char *line); /* NULL: all */

#endif
