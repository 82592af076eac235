/* ninep_uv: 9P-NG servers and clients on a libuv loop, over Unix sockets, directly or through the
 * node's gate.
 *
 * The gate handshake is one line of text each way before the first frame (docs/security.md):
 *   client to gate:   dial NODE SERVICE\n
 *   answered by:      ok NODE_KEY_HEX BINDING_HEX\n   or   error CODE TEXT\n   (CODE decimal)
 *   gate to service:  peer NODE_KEY_HEX BINDING_HEX\n   (not answered)
 */
#ifndef COGNU_NINEP_UV_H
#define COGNU_NINEP_UV_H

#include <cognu/ninep.h>
#include <uv.h>

enum { NINEP_LINE_BYTES_MAX = 512 }; /* a handshake line */

/* Serves every connection accepted on the listening socket fd (taken). from_gate: each begins with
 * a peer line; otherwise the peer is a local process, known by its credentials. A slow reader is
 * not read from while OUT_BYTES_MAX wait for it. */
struct ninep_listener;
cg_err ninep_uv_listen(uv_loop_t *loop, struct ninep_server *s, int fd, bool from_gate,
                       struct ninep_listener **out, struct cg_errbuf *eb);
/* The same for a transport that does not tell who is there: every connection is this peer. */
cg_err ninep_uv_listen_as(uv_loop_t *loop, struct ninep_server *s, int fd,
                          const struct ninep_peer *peer, struct ninep_listener **out,
                          struct cg_errbuf *eb);
void ninep_uv_listener_close(
    struct ninep_listener *l); /* its connections too; frees l when the loop has closed them */
/* Runs ninep_server_tick for s on the loop. Once a server. */
cg_err ninep_uv_server_start(uv_loop_t *loop, struct ninep_server *s);
void ninep_uv_server_stop(struct ninep_server *s);

/* Where a client finds its server. */
struct ninep_uv_target {
    const char *socket; /* path of the service's Unix socket, or of the gate's when node is set */
    const char *node;   /* node name or key for the gate; NULL: socket is the service itself */
    const char *service;
};
/* A client whose link is kept by the loop. config's connect, send, disconnect are filled in here;
 * the rest, and ctx, are the caller's. Strings are copied. */
cg_err ninep_uv_client_new(uv_loop_t *loop, const struct ninep_uv_target *target,
                           const struct ninep_client_config *config, struct ninep_client **out);
void ninep_uv_client_free(struct ninep_client *c); /* also closes its link */

/* For commands and examples: runs the loop until the client is up, or a call is done. *frame (may
 * be NULL) keeps the reply's bytes alive until ninep_frame_free. */
cg_err ninep_uv_wait_up(uv_loop_t *loop, struct ninep_client *c, struct cg_errbuf *eb);
cg_err ninep_uv_call(uv_loop_t *loop, struct ninep_client *c, const struct ninep_call *call,
                     union ninep_rmsg *r, struct ninep_frame **frame, struct cg_errbuf *eb);

/* A whole file server as a program: parses the common options (--socket PATH and --gate-socket PATH
 * make sockets, --fd N and --gate-fd N take listening ones inherited from init, --plaintext-tcp
 * HOST:PORT listens for foreign clients, all of them the user of --plaintext-uid, --foreign,
 * --help), listens, serves until SIGTERM or SIGINT. A server with options of its own takes those
 * out of argv first. Returns the exit status. The loop is uv_default_loop(). */
int ninep_serve_main(int argc, char **argv, struct ninep_server_config *config);

#endif
