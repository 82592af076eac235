/* A post: what a service's owner tells of it, in one line of text:
 *
 *   NODE!SERVICE[!TREE] [NAME=VALUE ...]
 *
 * Names have 1 to 63 letters, digits, '.', '_', '-' or '@' and begin with a letter or digit; NODE
 * may be a key, of 64 hex digits. Values are any text without control characters, quoted as rc
 * does. The attribute lease=SECONDS is the post's own life.
 */
#ifndef SRV_POST_H
#define SRV_POST_H

#include <cognu/base.h>

enum {
    POST_BYTES_MAX = 2048, /* of the line */
    POST_ATTRS_MAX = 16,
    POST_LEASE_S_MAX = 86400, /* who is not heard of for a day is not there */
};

struct post_attr {
    const char *name, *value;
};

/* Pointers go into text. */
struct post {
    char text[POST_BYTES_MAX];
    const char *node, *service, *tree; /* tree may be NULL */
    struct post_attr attr[POST_ATTRS_MAX];
    uint32_t attrs;
    uint32_t lease_s; /* 0: none */
};

bool post_name_ok(const char *name);
/* out must stay where it is. */
cg_err post_parse(struct cg_span line, struct post *out, struct cg_errbuf *eb);
/* Attributes only: a query. */
cg_err post_parse_query(struct cg_span line, struct post *out, struct cg_errbuf *eb);
/* The line in its one canonical form, newline and all. */
cg_err post_print(const struct post *p, struct cg_str *out);
/* Every attribute of query is p's too; name, node, service and tree count as attributes. */
bool post_matches(const struct post *p, const char *name, const struct post *query);

#endif
