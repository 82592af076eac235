/* Invitations: one spelling, checked; a proof that fits one connection only. */
#include "testkit.h"

#include <stdio.h>
#include <string.h>

static struct secure_invite sample(const char *address)
{
    struct secure_invite i = {.expires_s = KIT_NOW_S + 600};

    memset(i.cell, 0xce, 16);
    memset(i.inviter, 0xa1, 32);
    memset(i.secret, 0x5e, sizeof(i.secret));
    snprintf(i.address, sizeof(i.address), "%s", address);
    return i;
}

static void text_goes_round(void **state)
{
    (void)state;
    static const char *const address[] = {"1.2.3.4:5", "10.11.12.13:9564", "[fe80::1]:65535",
                                          "127.0.0.1:17000"};
    for (size_t n = 0; n < CG_COUNT(address); n++) {
        struct secure_invite i = sample(address[n]), again;
        char text[SECURE_INVITE_TEXT_BYTES];
        assert_int_equal(secure_invite_text(&i, text), CG_OK);
        assert_int_equal(secure_invite_parse(text, &again, NULL), CG_OK);
        assert_memory_equal(&i, &again, sizeof(i));
        assert_null(strpbrk(text, " \n='+/"));
    }
}

static void every_letter_counts(void **state)
{
    (void)state;
    struct secure_invite i = sample("127.0.0.1:17000"), again;
    char text[SECURE_INVITE_TEXT_BYTES + 1] = "";

    assert_int_equal(secure_invite_text(&i, text), CG_OK);
    size_t len = strlen(text);
    for (size_t at = 0; at < len; at++) {
        for (int flip = 1; flip < 128; flip++) {
            text[at] ^= (char)flip;
            assert_int_equal(secure_invite_parse(text, &again, NULL), CG_EBADFORMAT);
            text[at] ^= (char)flip;
        }
    }
    for (size_t cut = 0; cut < len; cut++) {
        char c = text[cut];
        text[cut] = '\0';
        assert_int_equal(secure_invite_parse(text, &again, NULL), CG_EBADFORMAT);
        text[cut] = c;
    }
    text[len] = '=';
    assert_int_equal(secure_invite_parse(text, &again, NULL), CG_EBADFORMAT);
}

static void proof_fits_one_connection_and_pair(void **state)
{
    (void)state;
    uint8_t secret[16] = {1}, binding[32] = {2}, joiner[32] = {3}, inviter[32] = {4};
    uint8_t *const part[] = {secret, binding, joiner, inviter};
    uint8_t a[32], b[32];

    secure_invite_proof(secret, binding, joiner, inviter, a);
    for (size_t i = 0; i < CG_COUNT(part); i++) {
        part[i][15] ^= 1;
        secure_invite_proof(secret, binding, joiner, inviter, b);
        assert_false(secure_equal(a, b, 32));
        part[i][15] ^= 1;
    }
    secure_invite_proof(secret, binding, inviter, joiner, b); /* not to be mirrored */
    assert_false(secure_equal(a, b, 32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_goes_round),
        cmocka_unit_test(every_letter_counts),
        cmocka_unit_test(proof_fits_one_connection_and_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
