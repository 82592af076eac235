/* A conversation of the net server: one socket, its streams, and the calls that wait for it. */
#ifndef NET_CONV_H
#define NET_CONV_H

#include <cognu/synth_stream.h>

enum {
    CONVS_MAX = 4096, /* sockets of one node's net */
    ADDR_BYTES = 96,  /* text of an address: 45 for IPv6, scope, port */
    BACKLOG = 128
};

enum proto { PROTO_TCP, PROTO_UDP, PROTOS };
enum conv_state { CONV_CLOSED, CONV_CONNECTING, CONV_ESTABLISHED, CONV_ANNOUNCED };

struct conv {
    struct cg_list link;
    uint64_t id;
    uint64_t principal; /* who made it, and alone may use it */
    enum proto proto;
    enum conv_state state;
    uint32_t opens; /* handles on its files */
    int fd;         /* while connecting or announced; the streams own their own copies */
    uv_poll_t *poll;
    struct synth_stream in, out; /* in: from the network */
    struct ninep_req *connecting;
    struct cg_list listeners; /* requests that wait for a call */
};

/* Takes the handle over to a conversation that a call made. */
typedef void conv_accepted(struct ninep_req *r, struct conv *c);

void convs_init(uv_loop_t *loop, conv_accepted *accepted);
cg_err conv_new(enum proto proto, uint64_t principal, struct conv **out);
struct conv *conv_by_id(uint64_t id);
struct conv *conv_after(enum proto proto, uint64_t id);
void conv_ref(struct conv *c);
void conv_unref(struct conv *c); /* ends it with the last */
void conv_connect(struct conv *c, const char *address,
                  struct ninep_req *r); /* answers r when it is connected */
cg_err conv_announce(struct conv *c, const char *address, struct cg_errbuf *eb);
void conv_hangup(struct conv *c);
void conv_listen(struct conv *c, struct ninep_req *r); /* answers r through accepted */
void conv_cancel(struct conv *c, struct ninep_req *r);
const char *conv_state_name(const struct conv *c);
cg_err conv_address(struct conv *c, bool local, struct cg_str *out);

#endif
