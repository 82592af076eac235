/* stats: what a process tells of itself without being asked: counters, and the steps of requests
 * that are followed from node to node.
 *
 * Both are in one piece of memory, which is a file where the component's manifest gives it a folder
 * for that: /run/cognu/stats/NAME. The node's server `metrics` reads all of them; nobody is
 * connected to anybody for it. What is read so is foreign bytes: cg_stats_check.
 */
#ifndef COGNU_STATS_H
#define COGNU_STATS_H

#include <cognu/base.h>

enum {
    CG_STATS_NAME_BYTES = 88,
    CG_STATS_VALUES_MAX = 256, /* a server has some 80 */
    CG_STATS_STEPS_MAX = 2048, /* the ring: some hundred requests of a traced program */
};
#define CG_STATS_DIR  "/run/cognu/stats"
#define CG_STATS_FILE "page"

enum cg_layer {
    CG_LAYER_PROGRAM, /* what a program asked its kernel for, as the adapter sees it */
    CG_LAYER_CALL,    /* a request as its client sees it */
    CG_LAYER_NEAR,    /* as the gate that sends it on sees it */
    CG_LAYER_FAR,     /* as the gate that it comes to sees it */
    CG_LAYER_SERVER,  /* as the file server sees it */
    CG_LAYERS
};

struct cg_stats_value {
    char name[CG_STATS_NAME_BYTES]; /* Prometheus's, with labels: `requests_total{type="Tread"}` */
    uint64_t value;
};

struct cg_step {
    uint64_t number; /* 1, 2 ...; 0: never written, or being written */
    uint64_t trace;
    int64_t start_ns; /* wall clock */
    uint64_t took_ns;
    uint32_t error; /* cg_err */
    uint32_t layer;
    char what[24];
    char name[64]; /* cut when longer */
};

struct cg_stats {
    char magic[8];
    uint64_t bytes; /* of this structure */
    uint32_t values;
    uint32_t unused;
    struct cg_stats_value value[CG_STATS_VALUES_MAX];
    uint64_t steps; /* begun */
    struct cg_step step[CG_STATS_STEPS_MAX];
};

/* The memory becomes that of component's file, anew; without such a folder it stays private. Call
 * it before anything is counted. */
void cg_stats_open(const char *component);
/* The value of that name, from zero, for as long as the process lives; never NULL: beyond
 * CG_STATS_VALUES_MAX it is a word that nobody sees. Thread-safe; names are compared. */
uint64_t *cg_stats_value(const char *name);
/* A step that ends now. trace 0: nothing is written. Thread-safe. */
void cg_stats_step(uint64_t trace, enum cg_layer layer, uint64_t took_ns, cg_err error,
                   const char *what, const char *name);
const struct cg_stats *cg_stats_own(void); /* for tests */
/* Puts NULs where foreign bytes lack them, and counts in range; false: it is nothing of ours. */
bool cg_stats_check(struct cg_stats *s, size_t bytes);

#endif
