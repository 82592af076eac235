/* Names to addresses, for cs and dns: the host's resolver, asked in a thread. */
#ifndef NET_NAMES_H
#define NET_NAMES_H

#include <cognu/synth.h>

struct names;
/* Starts the query that r writes, for the handle; answers r when the answer is known. */
void names_ask(struct synth_handle *h, struct ninep_req *r, bool cs);
void names_cancel(struct ninep_req *r);
cg_err names_answer(const struct names *n, struct cg_str *out, struct cg_errbuf *eb);
void names_free(struct names *n); /* NULL is fine */

#endif
