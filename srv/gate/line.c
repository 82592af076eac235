#include "line.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 6 };

static bool copy(char *out, size_t cap, const char *word)
{
    return cg_span_str(cg_span_of(word), out, cap);
}

cg_err line_parse_dial(char *line, struct line_dial *out, struct cg_errbuf *eb)
{
    char *word[WORDS_MAX];
    int words = cg_tokenize(line, word, WORDS_MAX);

    if (words != 3 || strcmp(word[0], "dial") != 0 ||
        !copy(out->node, sizeof(out->node), word[1]) ||
        !copy(out->service, sizeof(out->service), word[2]) || !secure_name_ok(out->service)) {
        return cg_fail(eb, CG_EPROTO, "the gate wants: dial NODE SERVICE");
    }
    return CG_OK;
}

static bool parse_join(char **word, int words, struct line_ask *out)
{
    bool user = words == 6;

    return (words == 4 || user) && secure_unhex(word[1], out->proof, 32) &&
           copy(out->node.name, sizeof(out->node.name), word[2]) && secure_name_ok(word[2]) &&
           copy(out->node.address, sizeof(out->node.address), word[3]) &&
           (!user || (copy(out->user.name, sizeof(out->user.name), word[4]) &&
                      secure_name_ok(word[4]) && secure_unhex(word[5], out->user.key, 32)));
}

cg_err line_parse_ask(char *line, struct line_ask *out, struct cg_errbuf *eb)
{
    char *word[WORDS_MAX];
    int words = cg_tokenize(line, word, WORDS_MAX);

    memset(out, 0, sizeof(*out));
    if (words == 2 && strcmp(word[0], "service") == 0 &&
        copy(out->service, sizeof(out->service), word[1]) &&
        (secure_name_ok(word[1]) || strcmp(word[1], ".roster") == 0)) {
        return CG_OK;
    }
    out->join = words > 0 && strcmp(word[0], "join") == 0;
    if (out->join && parse_join(word, words, out)) {
        return CG_OK;
    }
    return cg_fail(eb, CG_EPROTO, "the gate wants: service NAME, or: join ...");
}

cg_err line_parse_answer(char *line, struct cg_errbuf *eb)
{
    char code[16];
    uint64_t number = 0;

    if (strcmp(line, "ok") == 0) {
        return CG_OK;
    }
    if (strncmp(line, "error ", 6) == 0) {
        const char *end = strchrnul(line + 6, ' ');
        snprintf(code, sizeof(code), "%.*s", (int)(end - (line + 6)), line + 6);
        if (secure_number(code, &number) && number > 0 && number <= UINT32_MAX) {
            return cg_fail(eb, (cg_err)number, "%s", *end == ' ' ? end + 1 : "");
        }
    }
    return cg_fail(eb, CG_EPROTO, "the other gate's answer is not understood");
}

cg_err line_parse_roster(char *line, size_t *bytes)
{
    uint64_t number = 0;

    if (strncmp(line, "roster ", 7) != 0 || !secure_number(line + 7, &number) || number == 0 ||
        number > SECURE_ROSTER_BYTES_MAX + 256) {
        return CG_EPROTO;
    }
    *bytes = number;
    return CG_OK;
}

size_t line_error(char out[LINE_BYTES_MAX], cg_err e, const char *text)
{
    int n = snprintf(out, LINE_BYTES_MAX - 1, "error %u %s", e, text);
    size_t len = n < LINE_BYTES_MAX - 1 ? (size_t)n : LINE_BYTES_MAX - 2;

    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)out[i] < ' ' || out[i] == 127) {
            out[i] = '?';
        }
    }
    out[len] = '\n';
    out[len + 1] = '\0';
    return len + 1;
}

cg_err line_address(const char *text, struct sockaddr_storage *out, socklen_t *len,
                    struct cg_errbuf *eb)
{
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    char host[64];
    uint64_t port = 0;
    const char *colon = strrchr(text, ':');
    bool bracket = text[0] == '[' && colon != NULL && colon > text + 1 && colon[-1] == ']';
    int n = colon == NULL ? 0 : (int)(colon - text) - (bracket ? 2 : 0);

    memset(out, 0, sizeof(*out));
    snprintf(host, sizeof(host), "%.*s", n, bracket ? text + 1 : text);
    if (n > 0 && n < (int)sizeof(host) && secure_number(colon + 1, &port) && port <= 65535) {
        if (!bracket && inet_pton(AF_INET, host, &four->sin_addr) == 1) {
            four->sin_family = AF_INET;
            four->sin_port = htons((uint16_t)port);
            *len = sizeof(*four);
            return CG_OK;
        }
        if (bracket && inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
            six->sin6_family = AF_INET6;
            six->sin6_port = htons((uint16_t)port);
            *len = sizeof(*six);
            return CG_OK;
        }
    }
    return cg_fail(eb, CG_EINVAL,
                   "'%.100s': an address is numeric: 192.0.2.1:9564 or [2001:db8::1]:9564", text);
}

void line_address_text(const struct sockaddr_storage *a, char out[SECURE_ADDRESS_BYTES])
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
    char host[64] = "";

    if (a->ss_family == AF_INET) {
        (void)inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
        snprintf(out, SECURE_ADDRESS_BYTES, "%s:%u", host, ntohs(four->sin_port));
    } else {
        (void)inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
        snprintf(out, SECURE_ADDRESS_BYTES, "[%s]:%u", host, ntohs(six->sin6_port));
    }
}
