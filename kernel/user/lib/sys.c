/* System calls, text, memory: see sys.h. */
#include "sys.h"

uint64_t console;

unsigned kernel_invoke(uint64_t handle, unsigned label, unsigned words,
                       uint64_t word[MSG_WORDS_REGS])
{
    struct message m = {.extra = 0};
    for (unsigned k = 0; k < MSG_WORDS_REGS; k++) {
        m.word[k] = word[k];
    }
    unsigned error = message_pass(&m, SYS_CALL, handle, label, words, 0);
    for (unsigned k = 0; k < MSG_WORDS_REGS; k++) {
        word[k] = m.word[k];
    }
    return error;
}

unsigned retype_whole(uint64_t untyped, uint64_t type, uint64_t size, uint64_t first,
                      uint64_t count, uint64_t cnode, uint64_t index)
{
    unsigned error;
    do {
        error = untyped_retype(untyped, type, size, first, count, cnode, index);
    } while (error == ERR_AGAIN);
    return error;
}

unsigned delete_whole(uint64_t cnode, uint64_t index)
{
    unsigned error;
    do {
        error = cnode_delete(cnode, index);
    } while (error == ERR_AGAIN);
    return error;
}

unsigned revoke_whole(uint64_t cnode, uint64_t index)
{
    unsigned error;
    do {
        error = cnode_revoke(cnode, index);
    } while (error == ERR_AGAIN);
    return error;
}

void print_bytes(const char *bytes, size_t count)
{
    while (console && count > 0) {
        uint64_t word[MSG_WORDS_REGS] = {0};
        size_t part = count < 64 ? count : 64;
        word[0] = part;
        memcpy(&word[1], bytes, part);
        kernel_invoke(console, INV_MONITOR_PUT, 9, word);
        bytes += part;
        count -= part;
    }
}

void print(const char *text)
{
    print_bytes(text, strlen(text));
}

static void print_based(uint64_t value, unsigned base)
{
    char digits[24];
    size_t i = sizeof(digits);
    do {
        digits[--i] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    print_bytes(&digits[i], sizeof(digits) - i);
}

void print_number(uint64_t value)
{
    print_based(value, 10);
}

void print_hex(uint64_t value)
{
    print_based(value, 16);
}

void give_up(const char *what, uint64_t error)
{
    print("cannot ");
    print(what);
    print(": error ");
    print_number(error);
    print("\n");
    program_end(1);
}

void *memcpy(void *to, const void *from, size_t n)
{
    void *d = to;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    if ((uintptr_t)to - (uintptr_t)from >= n) {
        return memcpy(to, from, n);
    }
    for (size_t i = n; i > 0; i--) {
        ((volatile char *)to)[i - 1] = ((const char *)from)[i - 1];
    }
    return to;
}

void *memset(void *to, int byte, size_t n)
{
    void *d = to;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(byte) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != y[i]) {
            return x[i] - y[i];
        }
    }
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (((const volatile char *)s)[n]) {
        n++;
    }
    return n;
}

bool text_equal(const char *a, const char *b)
{
    return strlen(a) == strlen(b) && memcmp(a, b, strlen(a)) == 0;
}
