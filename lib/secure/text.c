/* text: the small canonical forms: hex, numbers, names, strings in statements. */
#include "secure_impl.h"

#include <string.h>

void secure_hex(const uint8_t *data, size_t len, char *out)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digit[data[i] >> 4];
        out[2 * i + 1] = digit[data[i] & 15];
    }
    out[2 * len] = '\0';
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool secure_unhex(const char *hex, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = nibble(hex[2 * i]);
        int low = high < 0 ? -1 : nibble(hex[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return hex[2 * len] == '\0';
}

bool secure_number(const char *text, uint64_t *out)
{
    uint64_t v = 0;

    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0')) {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || v > (INT64_MAX - 9) / 10) {
            return false;
        }
        v = v * 10 + (uint64_t)(*text - '0');
    }
    *out = v;
    return true;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool secure_name_ok(const char *name)
{
    size_t len = strlen(name);

    if (len < 1 || len > 63 || !is_alnum(name[0])) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_alnum(name[i]) && strchr("._-@", name[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* host:port, the host numeric: digits and dots, or hex digits and colons in brackets. Whether it
 * can be reached is seen when it is dialled. "-" stands for none. */
bool secure__address_ok(const char *address)
{
    const char *colon = strrchr(address, ':');
    uint64_t port = 0;

    if (strcmp(address, "-") == 0) {
        return true;
    }
    if (colon == NULL || colon == address || colon - address > 64 ||
        !secure_number(colon + 1, &port) || port < 1 || port > 65535) {
        return false;
    }
    bool six = address[0] == '[' && colon[-1] == ']';
    const char *end = six ? colon - 1 : colon;
    for (const char *p = six ? address + 1 : address; p < end; p++) {
        if (strchr(six ? "0123456789abcdef:." : "0123456789.", *p) == NULL) {
            return false;
        }
    }
    return true;
}

void secure__put_str(struct cg_buf *b, const char *s)
{
    size_t len = strlen(s);

    cg_assert(len <= UINT16_MAX);
    cg_put_u16(b, (uint16_t)len);
    cg_put_bytes(b, s, len);
}

void secure__get_str(struct cg_buf *b, char *out, size_t cap)
{
    struct cg_span s = cg_get_span(b, cg_get_u16(b));

    out[0] = '\0';
    if (!b->bad && !cg_span_str(s, out, cap)) {
        b->bad = true;
    }
}

void secure__get_bytes(struct cg_buf *b, void *out, size_t len)
{
    struct cg_span s = cg_get_span(b, len);

    if (b->bad) {
        memset(out, 0, len);
    } else {
        memcpy(out, s.data, len);
    }
}
