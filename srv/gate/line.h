/* line: the lines of text that stand before relayed bytes, and addresses. Pure: no I/O.
 *
 *   local client to gate   dial NODE SERVICE                 NODE is a name or a key in hex
 *   gate to local client   ok NODE_KEY_HEX BINDING_HEX  |  error CODE TEXT
 *   gate to gate (in TLS)  service NAME  |  service .roster
 *                          join PROOF_HEX NAME ADDRESS [USER_NAME USER_KEY_HEX]
 *   answer                 ok  |  error CODE TEXT
 *   gate to gate           roster BYTES, then the bytes      after `ok` to .roster and join
 *   gate to service        peer NODE_KEY_HEX BINDING_HEX
 */
#ifndef COGNU_GATE_LINE_H
#define COGNU_GATE_LINE_H

#include <cognu/secure.h>
#include <sys/socket.h>

enum { LINE_BYTES_MAX = 512 }; /* as NINEP_LINE_BYTES_MAX */

struct line_dial {
    char node[65], service[64];
};
struct line_ask {
    bool join;
    char service[64]; /* ".roster" is the gates' own */
    uint8_t proof[32];
    struct secure_member node; /* join: name and address */
    struct secure_member user; /* join: name is empty when there is none */
};
/* Each takes one line without its newline, and changes it. */
cg_err line_parse_dial(char *line, struct line_dial *out, struct cg_errbuf *eb);
cg_err line_parse_ask(char *line, struct line_ask *out, struct cg_errbuf *eb);
/* CG_OK for "ok"; the error that the peer gave, with its text; CG_EPROTO. */
cg_err line_parse_answer(char *line, struct cg_errbuf *eb);
cg_err line_parse_roster(char *line, size_t *bytes);
/* "error CODE TEXT\n", the text cleaned and cut to fit; gives the length. */
size_t line_error(char out[LINE_BYTES_MAX], cg_err e, const char *text);
/* A numeric host:port. */
cg_err line_address(const char *text, struct sockaddr_storage *out, socklen_t *len,
                    struct cg_errbuf *eb);
void line_address_text(const struct sockaddr_storage *a, char out[SECURE_ADDRESS_BYTES]);

#endif
