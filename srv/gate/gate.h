/* gate: the node's border. It ends TLS, checks nodes against the roster, and relays bytes; it holds
 * no 9P state, so that a dead gate costs its clients one resume.
 *
 * line.c      the lines of text of the handshakes
 * link.c      one connection: its two descriptors, its state, its end
 * relay.c     bytes between the two, with backpressure
 * dial.c      the side that dials: local clients, roster talks, joining
 * serve.c     the side that is dialled
 * talk.c      two gates show each other their rosters
 * cell.c      the roster: file, changes, signatures, merges
 * moved.c     this machine has lost the address that the roster says
 * peers.c     what is known of each node; whom to talk to next
 * invite.c    invitations given out, and joining
 * identity.c  node key and TLS key, by factotum
 * tree.c      the gate's own files
 * gate.c      options, listening sockets, the clock
 *
 * One loop thread owns everything. A link is never freed under a caller: link_close leaves it
 * CLOSED until the loop has let go of its handles.
 */
#ifndef COGNU_GATE_H
#define COGNU_GATE_H

#include "line.h"

#include <cognu/secure_uv.h>

enum {
    LINKS_MAX = 4096,      /* relayed connections; two descriptors each */
    GUESTS_MAX = 128,      /* accepted, not yet past their first line: nobody knows who they are */
    PEER_LINKS_MAX = 1024, /* from one node: leaves room for the others */
    TALKS_MAX = 32,        /* roster talks: each may hold 1 MiB */
    TALKS_OURS_MAX = 4,    /* of those that this gate begins */
    BURST_BYTES = 128 << 10,    /* read, encrypted, written at a time: 8 TLS records; measured */
    HANDSHAKE_BYTES = 16 << 10, /* read at a time before a peer is known */
    SOCKET_BYTES = 1 << 20,     /* Unix socket buffers: eight bursts, fewer context switches */
    ANSWER_MS = 10000,          /* from connecting to the answer of the first line */
    DRAIN_MS = 2000,            /* for last words to arrive */
    OFFERS_MAX = 64,
    LISTENS_MAX = 4,
    INVITES_MAX = 16,       /* outstanding at once; they live in memory only */
    TALK_EVERY_MS = 60000,  /* rosters are compared that often even when nothing changed */
    TALK_WATCHED_MS = 5000, /* while somebody reads events */
    RETRY_MS = 5000,
    RETRY_MS_MAX = 60000,
    USERS_OWN_MAX = 64, /* keys in this node's factotum */
};

struct link;
struct gate;

struct invite {
    struct secure_invite made;
    bool live;
};

struct listen {
    uv_poll_t poll;
    struct gate *gate;
    int fd;
    bool local, paused;
};

/* What this gate knows of a node; shown in `nodes`. */
struct peer {
    uint8_t key[32];
    uint32_t links;
    uint64_t bytes_in, bytes_out;
    uint64_t told; /* serial of the roster that it has from us */
    uint64_t next_talk_ms, retry_ms;
    uint64_t since_s; /* of the state */
    bool talking, reached, failed;
    char why[128];
};

struct gate {
    uv_loop_t *loop;
    uv_timer_t clock;
    /* options; borrowed from argv */
    const char *self, *address, *roster_path, *gate_dir, *factotum;
    const char *offer[OFFERS_MAX];
    uint32_t offers;
    bool address_checked;
    bool listens_any4, listens_any6; /* on all addresses of this machine */
    /* The roster's address of this node that was last found on this machine, and the one before. */
    char here[SECURE_ADDRESS_BYTES], left[SECURE_ADDRESS_BYTES];
    struct listen listen[LISTENS_MAX + 1];
    uint32_t listens;
    /* identity */
    struct secure_signer *signer;
    bool key_known, asking_keys, asking_tls;
    uint8_t key[32];
    struct secure_member user[USERS_OWN_MAX];
    uint32_t users;
    struct secure_tls_id *tls_id; /* NULL until factotum has signed one */
    uint64_t retry_identity_ms;
    /* cell */
    bool in_cell;
    struct secure_roster roster;
    struct cg_str signing, sealed; /* being signed; signed and saved */
    uint64_t signing_serial, sealed_serial;
    bool signing_now;
    uint64_t retry_sign_ms;
    int64_t seen_ns; /* the roster file as last read or written */
    uint64_t seen_ino;
    struct invite invite[INVITES_MAX];
    /* links and peers */
    struct cg_list links;
    uint32_t link_count, guests, talks, talks_ours;
    struct cg_map peers; /* key -> struct peer */
    uint8_t *scratch;    /* BURST_BYTES, used within one callback */
};

/* ---- link */

enum link_state {
    LINK_DIAL,    /* a local client is to say whom it wants */
    LINK_CONNECT, /* TCP connects */
    LINK_TLS,     /* handshake */
    LINK_ASKED,   /* our line is sent, the answer awaited */
    LINK_SERVE,   /* the peer is to say what it wants */
    LINK_WAIT,    /* a joiner waits for the new roster's signature */
    LINK_RELAY,
    LINK_TALK,  /* rosters are exchanged */
    LINK_DRAIN, /* last words are sent, the peer's end awaited */
    LINK_CLOSED
};
enum link_purpose { FOR_SERVICE, FOR_TALK, FOR_JOIN };

struct half {
    uv_poll_t poll;
    struct link *link;
    int fd;    /* -1: none */
    int armed; /* uv_poll events asked for */
};

/* Traced requests that pass: the head of the frame that each direction is at, and the requests
 * whose replies are to come. */
enum { TAP_CALLS_MAX = 32, TAP_HEAD_BYTES = 32 };
struct tap_way {
    uint8_t head[TAP_HEAD_BYTES];
    uint32_t have, skip;
    bool blind;
};
struct tap_call {
    uint64_t trace, began_ns;
    uint16_t tag;
    uint8_t type;
};
struct tap {
    struct tap_way way[2];
    struct tap_call call[TAP_CALLS_MAX];
};

struct link {
    struct cg_list list;
    struct gate *gate;
    enum link_state state;
    enum link_purpose purpose;
    bool dialed, guest, counted;
    struct half net, plain;
    uint32_t handles;
    uint64_t deadline_ms; /* 0: none */
    struct secure_tls *tls;
    struct cg_str in; /* lines and rosters that arrive; then bytes for the plain side */
    size_t in_sent;
    uint8_t want[32], key[32], binding[32]; /* dialled node; peer */
    char service[64];
    char to[SECURE_ADDRESS_BYTES]; /* dialled */
    bool plain_eof, plain_shut, net_eof, net_shut, talked;
    uint64_t wait_serial, talk_serial;
    void (*done)(void *aux, cg_err e, const char *detail); /* FOR_TALK, FOR_JOIN: called once */
    void *aux;
    struct secure_invite *invite; /* FOR_JOIN; wiped */
    struct tap tap;
};

struct link *link_new(struct gate *g);                    /* NULL: no memory, or too many */
cg_err link_half(struct link *l, struct half *h, int fd); /* takes fd, also when it fails */
void link_arm(struct link *l); /* after every step: asks the loop for what the state needs */
void link_close(struct link *l);
/* Ends the link and says why: to the log, to whoever waits for an answer. */
void link_fail(struct link *l, cg_err e, const char *fmt, ...) CG_PRINTF(3, 4);
void link_begin_tls(struct link *l);
/* Sends what TLS holds; false: the link failed. */
bool link_flush(struct link *l);
/* Encrypts; false: the link failed. */
bool link_send(struct link *l, const void *data, size_t len);
void link_drain(struct link *l); /* says goodbye, and closes when the peer did */
void link_known(struct link *l); /* the peer is past its first line */
void link_finish(struct link *l, cg_err e, const char *detail); /* calls done, once */
/* Looks at all links: deadlines, and peers that are no longer in the roster. */
void link_check_all(struct gate *g);
void link_set_deadline(struct link *l, uint64_t ms);

/* ---- events */

struct synth_handle;
struct ninep_req;
void events_look(struct gate *g); /* tells what has changed since the last look */
bool events_watched(void);
cg_err events_open(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb);
void events_close(struct synth_handle *h);
void events_read(struct synth_handle *h, struct ninep_req *r);
void events_cancel(struct synth_handle *h, struct ninep_req *r);

/* ---- relay */

void relay_start(struct link *l);
void relay_net(struct link *l, int events);
void relay_plain(struct link *l, int events);
void relay_plain_gone(struct link *l);

/* ---- tap */

void tap(struct link *l, bool to_net, const uint8_t *data, size_t len); /* these bytes pass */

/* ---- dial */

void dial_accept(struct gate *g, int fd);
void dial_line(struct link *l, char *line);
void dial_up(struct link *l); /* TLS is up */
void dial_answer(struct link *l, char *line);
/* A link to a node on the gate's own behalf; invite (copied) makes it a joiner's. done is called
 * exactly once, later or at once. */
void dial_node(struct gate *g, const char *address, const uint8_t key[32],
               const struct secure_invite *invite,
               void (*done)(void *aux, cg_err e, const char *detail), void *aux);

/* ---- serve */

void serve_accept(struct gate *g, int fd);
cg_err serve_judge(void *link, const uint8_t key[32]); /* secure_tls_config.accept */
void serve_line(struct link *l, char *line);
void serve_roster_saved(struct gate *g);

/* ---- talk */

void talk_start(struct link *l, bool send, bool receive);
void talk_input(struct link *l);

/* ---- cell */

void cell_load(struct gate *g);
void cell_tick(struct gate *g);
cg_err cell_new(struct gate *g, const char *name, struct cg_errbuf *eb);
void cell_changed(
    struct gate *g); /* the roster in memory was changed: one serial up, signed, saved */
/* A roster that came from node sender, sealed by it. */
cg_err cell_receive(struct gate *g, const char *text, size_t len, const uint8_t sender[32],
                    struct cg_errbuf *eb);
/* The roster of a cell that this node has just joined. */
cg_err cell_adopt(struct gate *g, const char *text, size_t len, const uint8_t cell[16],
                  const uint8_t inviter[32], struct cg_errbuf *eb);

/* ---- peers */

struct peer *peer_get(struct gate *g, const uint8_t key[32]); /* made when new; NULL: no memory */
void peer_reached(struct gate *g, const uint8_t key[32]);
void peer_doubted(struct gate *g, const uint8_t key[32]); /* a link broke: is it there? */
void peer_failed(struct gate *g, const uint8_t key[32], const char *why);
void peers_tick(struct gate *g);
void peers_try_all(struct gate *g); /* what failed before need not fail now */
void peers_free(struct gate *g);

/* ---- moved */

bool moved_is_here(const char *address); /* of this machine? */
void moved_look(struct gate *g);

/* ---- invite */

cg_err invite_make(struct gate *g, uint64_t seconds, char text[SECURE_INVITE_TEXT_BYTES],
                   struct cg_errbuf *eb);
bool invite_any(struct gate *g); /* may a stranger come in at all? */
/* A joiner's line: admits it into the roster when its proof fits a live invitation. */
cg_err invite_admit(struct link *l, const struct line_ask *ask, struct cg_errbuf *eb);
void invite_join(struct gate *g, const char *text,
                 void (*done)(void *aux, cg_err e, const char *detail), void *aux);
void invite_fini(struct gate *g);

/* ---- identity */

cg_err identity_start(struct gate *g);
void identity_tick(struct gate *g);
void identity_stop(struct gate *g);

/* ---- tree */

int tree_serve(struct gate *g, int argc, char **argv);

uint64_t gate_now_s(void);
uint64_t gate_now_ms(void);

#endif
