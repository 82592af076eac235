/* pages: what the components of this node tell of themselves (stats.h): found, checked, put into
 * lines. */
#ifndef COGNU_METRICS_PAGES_H
#define COGNU_METRICS_PAGES_H

#include <cognu/stats.h>

enum { PAGES_MAX = 64, PAGE_NAME_BYTES = 64 };

struct pages {
    uint32_t count;
    struct page {
        char component[PAGE_NAME_BYTES];
        struct cg_stats *stats;
    } page[PAGES_MAX];
};

void pages_read(struct pages *p); /* all that there are */
void pages_free(struct pages *p);
cg_err pages_metrics(const struct pages *p, struct cg_str *out); /* Prometheus text */
/* Steps, one a line: TRACE LAYER COMPONENT START_NS TOOK_NS ERROR WHAT NAME. */
cg_err pages_steps(const struct pages *p, struct cg_str *out);

#endif
