/* base: what every part of Cognu stands on: errors, memory, bounded buffers, the environment table,
 * containers, log, metrics.
 *
 * Rules. Operating errors are returned as a cg_err (0 is success) from the one table in errors.def;
 * programmer errors assert, in all builds. Foreign bytes are read and written only through struct
 * cg_buf. Time and randomness come through struct cg_env, so that simulation can supply them.
 * Nothing here is thread-safe unless it says so: each process runs one loop thread.
 */
#ifndef COGNU_BASE_H
#define COGNU_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CG_COUNT(a)                    (sizeof(a) / sizeof((a)[0]))
#define CG_CONTAINER(ptr, type, field) ((type *)(void *)((char *)(ptr)-offsetof(type, field)))
#define CG_PRINTF(fmt, args)           __attribute__((format(printf, fmt, args)))

/* ---- assertions: on in every build ---- */

#define cg_assert(cond) ((cond) ? (void)0 : cg_assert_fail(#cond, __FILE__, __LINE__, __func__))
_Noreturn void cg_assert_fail(const char *cond, const char *file, int line, const char *func);

/* ---- errors ---- */

typedef uint32_t cg_err;

enum {
    CG_OK = 0,
#define CG_ERROR(name, code, errno_name, text, meaning) CG_E##name = code,
#include <cognu/errors.def>
};

enum { CG_DETAIL_BYTES = 256 }; /* one line of a terminal, twice over */

/* The detail behind an error: text for people, never matched on. Layers may prepend context.
 * Zero-initialise. */
struct cg_errbuf {
    char text[CG_DETAIL_BYTES];
};

const char *
cg_err_name(cg_err e); /* "NOENT"; "E<code>" is not made up: unknown codes give "UNLISTED" */
const char *cg_err_text(cg_err e);    /* the 9P2000 text */
const char *cg_err_meaning(cg_err e); /* the sentence for people */
int cg_err_errno(
    cg_err e); /* the POSIX number; unlisted codes below 134 are themselves, others EIO */
cg_err cg_err_from_errno(int err); /* asserts err > 0 */

/* Sets the detail and returns e, so that `return cg_fail(eb, CG_ENOENT, "...")` reads well. eb may
 * be NULL. */
cg_err cg_fail(struct cg_errbuf *eb, cg_err e, const char *fmt, ...) CG_PRINTF(3, 4);
/* Puts "text: " before the detail that is there; returns e. */
cg_err cg_context(struct cg_errbuf *eb, cg_err e, const char *fmt, ...) CG_PRINTF(3, 4);

/* ---- memory ---- */

/* NULL when memory is short (or when injection says so); the caller returns CG_ENOMEM. */
void *cg_alloc(size_t bytes);
void *cg_zalloc(size_t bytes);
void *cg_realloc(void *p, size_t bytes);
char *cg_strdup(const char *s);
char *cg_strndup(const char *s, size_t len);
void cg_free(void *p);
void cg_wipe(void *p, size_t bytes); /* zeroes in a way that the compiler keeps */
/* For programs that move bulk: freed memory up to 64 MiB is kept, so that a buffer of a megabyte
 * is not given back to the kernel and faulted in again for every request. */
void cg_alloc_keep_freed(void);
/* For tests: the n-th allocation from now fails (1 is the next); 0 turns injection off. */
void cg_alloc_fail_at(uint64_t n);

/* ---- bounded buffer: all foreign bytes pass through it ---- */

/* A span [base, base+len) with a cursor. Little-endian. Any overrun sets bad; getters then give
 * zero and putters do nothing, so a decoder checks bad once, at its end. It never allocates and
 * never owns base. */
struct cg_buf {
    uint8_t *base;
    size_t len; /* bytes readable (reader) or capacity (writer) */
    size_t pos;
    bool bad;
};

/* A borrowed piece of a buffer: bytes, not a C string. */
struct cg_span {
    const uint8_t *data;
    uint32_t len;
};

struct cg_buf cg_buf_reader(const void *data, size_t len);
struct cg_buf cg_buf_writer(void *data, size_t cap);
size_t cg_buf_left(const struct cg_buf *b);
uint8_t cg_get_u8(struct cg_buf *b);
uint16_t cg_get_u16(struct cg_buf *b);
uint32_t cg_get_u32(struct cg_buf *b);
uint64_t cg_get_u64(struct cg_buf *b);
struct cg_span cg_get_span(struct cg_buf *b, size_t len); /* borrows from b */
void cg_put_u8(struct cg_buf *b, uint8_t v);
void cg_put_u16(struct cg_buf *b, uint16_t v);
void cg_put_u32(struct cg_buf *b, uint32_t v);
void cg_put_u64(struct cg_buf *b, uint64_t v);
void cg_put_bytes(struct cg_buf *b, const void *data, size_t len);
/* A file name element from the wire: not empty, no '/', no NUL, not "." or "..", at most 255 bytes.
 */
bool cg_name_ok(struct cg_span name);
struct cg_span cg_span_of(const char *s);
bool cg_span_is(struct cg_span a, const char *s);
/* Copies into a C string of cap bytes; false when it does not fit or holds a NUL. */
bool cg_span_str(struct cg_span s, char *out, size_t cap);

/* ---- the environment: everything a pure core may ask of the world ---- */

struct cg_env {
    uint64_t (*now_ns)(void *ctx);  /* monotonic */
    uint64_t (*wall_ns)(void *ctx); /* since the epoch */
    void (*random)(void *ctx, void *out, size_t bytes);
    void *ctx;
};
extern const struct cg_env cg_env_real;
uint64_t cg_now_ms(const struct cg_env *env);

/* ---- containers ---- */

/* Doubly linked ring; the head is a node of its own. */
struct cg_list {
    struct cg_list *next, *prev;
};
void cg_list_init(struct cg_list *head);
bool cg_list_empty(const struct cg_list *head);
void cg_list_push(struct cg_list *head, struct cg_list *n); /* at the tail */
void cg_list_push_front(struct cg_list *head, struct cg_list *n);
void cg_list_del(struct cg_list *n); /* leaves n a ring of itself: a second delete does nothing */
#define CG_LIST_EACH(it, head)                                                                     \
    for (struct cg_list *it = (head)->next, *it##_next = it->next; it != (head);                   \
         it = it##_next, it##_next = it->next)

/* Hash map from keys of one fixed size (up to CG_MAP_KEY_BYTES_MAX) to pointers. Keys are copied.
 * Keyed hash: safe against chosen keys. Removing the current entry while iterating is allowed,
 * inserting is not. */
enum { CG_MAP_KEY_BYTES_MAX = 32 };
struct cg_map {
    struct cg_map__slot *slots;
    uint32_t cap, used, live;
    uint16_t key_bytes;
    uint64_t seed;
};
void cg_map_init(struct cg_map *m, size_t key_bytes);
void cg_map_fini(struct cg_map *m);
void *cg_map_get(const struct cg_map *m, const void *key);
cg_err cg_map_put(struct cg_map *m, const void *key,
                  void *value); /* replaces; value must not be NULL; CG_ENOMEM */
void *cg_map_del(struct cg_map *m, const void *key); /* the value that was there, or NULL */
uint32_t cg_map_count(const struct cg_map *m);
/* Start with *cursor = 0; NULL at the end. */
void *cg_map_next(const struct cg_map *m, uint32_t *cursor);

/* Growing byte string: for replies made of text, and for queues of bytes. Zero-initialise. */
struct cg_str {
    char *data; /* NUL-terminated when not NULL */
    size_t len, cap;
};
cg_err cg_str_add(struct cg_str *s, const void *data, size_t len);
cg_err cg_str_addf(struct cg_str *s, const char *fmt, ...) CG_PRINTF(2, 3);
void cg_str_fini(struct cg_str *s);
/* Appends arg quoted as rc does ('' inside quotes) when it needs it, so that text replays. */
cg_err cg_str_add_quoted(struct cg_str *s, const char *arg);
/* Splits one line in place into at most argv_max words by blanks and rc quotes; -1 when it is
 * malformed or has too many. */
int cg_tokenize(char *line, char **argv, int argv_max);

/* An option of a program that hands the rest of its arguments on: `NAME VALUE`, the last one
 * counts. */
struct cg_option {
    const char *name;
    const char **value; /* set where the option stands; borrows from argv */
};
/* Takes these options and their values out of argv. False: one has no value. */
bool cg_options_take(int *argc, char **argv, const struct cg_option *options, size_t count);

/* ---- log and metrics ---- */

enum cg_level { CG_ERROR_LEVEL, CG_WARN, CG_INFO, CG_DEBUG };
void cg_log_init(const char *component); /* borrows; level from COGNU_LOG (error, warn, info,
                                            debug), default info */
/* One line to standard error: `TIME LEVEL component: text`. Control characters are escaped; secrets
 * are never passed. */
void cg_log(enum cg_level level, const char *fmt, ...) CG_PRINTF(2, 3);

/* A counter is a static variable; the first add registers it. Thread-safe (relaxed atomics). */
struct cg_counter {
    const char *name; /* Prometheus name, ends in _total */
    const char *help;
    uint64_t value;
    struct cg_counter *next;
    bool registered;
};
void cg_count(struct cg_counter *c, uint64_t n);
cg_err cg_metrics_text(struct cg_str *out); /* Prometheus text of all registered counters */

#endif
