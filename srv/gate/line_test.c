/* The gate's lines: what is understood, and that nothing else is. */
#include "line.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct cg_errbuf eb;

static cg_err dial(const char *text, struct line_dial *out)
{
    char line[LINE_BYTES_MAX];

    snprintf(line, sizeof(line), "%s", text);
    return line_parse_dial(line, out, &eb);
}

static cg_err ask(const char *text, struct line_ask *out)
{
    char line[LINE_BYTES_MAX];

    snprintf(line, sizeof(line), "%s", text);
    return line_parse_ask(line, out, &eb);
}

static void dial_lines(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "dial",           "dial a",
                                      "dial a b c", "dial a .roster", "dial a ../x",
                                      "dial a b/c", "Dial a b",       "dial 'a b"};
    struct line_dial d;

    assert_int_equal(dial("dial laptop hostfs", &d), CG_OK);
    assert_string_equal(d.node, "laptop");
    assert_string_equal(d.service, "hostfs");
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        assert_int_equal(dial(bad[i], &d), CG_EPROTO);
    }
}

static void ask_lines(void **state)
{
    (void)state;
    static const char hex[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    char text[LINE_BYTES_MAX];
    struct line_ask a;

    assert_int_equal(ask("service hostfs", &a), CG_OK);
    assert_false(a.join);
    assert_int_equal(ask("service .roster", &a), CG_OK);
    assert_int_equal(ask("service .", &a), CG_EPROTO);
    assert_int_equal(ask("service ..", &a), CG_EPROTO);
    assert_int_equal(ask("service a/b", &a), CG_EPROTO);
    assert_int_equal(ask("service", &a), CG_EPROTO);
    snprintf(text, sizeof(text), "join %s b 127.0.0.1:2", hex);
    assert_int_equal(ask(text, &a), CG_OK);
    assert_true(a.join);
    assert_string_equal(a.node.name, "b");
    assert_string_equal(a.user.name, "");
    snprintf(text, sizeof(text), "join %s b - ann %s", hex, hex);
    assert_int_equal(ask(text, &a), CG_OK);
    assert_string_equal(a.user.name, "ann");
    snprintf(text, sizeof(text), "join %s b - ann", hex);
    assert_int_equal(ask(text, &a), CG_EPROTO);
    snprintf(text, sizeof(text), "join %.62s b -", hex);
    assert_int_equal(ask(text, &a), CG_EPROTO);
}

static void answers(void **state)
{
    (void)state;
    char ok[] = "ok", err[] = "error 273 no such thing", bare[] = "error 5", bad[] = "error x y",
         zero[] = "error 0 fine", other[] = "okay";

    assert_int_equal(line_parse_answer(ok, &eb), CG_OK);
    assert_int_equal(line_parse_answer(err, &eb), CG_ENOSERVICE);
    assert_string_equal(eb.text, "no such thing");
    assert_int_equal(line_parse_answer(bare, &eb), CG_EIO);
    assert_int_equal(line_parse_answer(bad, &eb), CG_EPROTO);
    assert_int_equal(line_parse_answer(zero, &eb), CG_EPROTO);
    assert_int_equal(line_parse_answer(other, &eb), CG_EPROTO);
}

static void errors_are_one_clean_line(void **state)
{
    (void)state;
    char line[LINE_BYTES_MAX], longer[2 * LINE_BYTES_MAX];

    size_t len = line_error(line, CG_EAUTH, "two\nlines\x1b[2J");
    assert_string_equal(line, "error 264 two?lines?[2J\n");
    assert_int_equal(len, strlen(line));
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    len = line_error(line, CG_EAUTH, longer);
    assert_int_equal(len, strlen(line));
    assert_true(len < LINE_BYTES_MAX);
    assert_int_equal(line[len - 1], '\n');
}

static void roster_lines(void **state)
{
    (void)state;
    char good[] = "roster 1234", zero[] = "roster 0", huge[] = "roster 99999999",
         bad[] = "roster 12x", padded[] = "roster 012";
    size_t bytes = 0;

    assert_int_equal(line_parse_roster(good, &bytes), CG_OK);
    assert_int_equal(bytes, 1234);
    assert_int_equal(line_parse_roster(zero, &bytes), CG_EPROTO);
    assert_int_equal(line_parse_roster(huge, &bytes), CG_EPROTO);
    assert_int_equal(line_parse_roster(bad, &bytes), CG_EPROTO);
    assert_int_equal(line_parse_roster(padded, &bytes), CG_EPROTO);
}

static void addresses_are_numeric(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      ":1",    "localhost:1", "127.0.0.1",     "1.2.3:1", "1.2.3.4:0x1",
        "::1:5", "[::1]", "[1.2.3.4]:1", "1.2.3.4:65536", "[]:1",    "-"};
    struct sockaddr_storage a;
    char text[SECURE_ADDRESS_BYTES];
    socklen_t len;

    assert_int_equal(line_address("127.0.0.1:9564", &a, &len, &eb), CG_OK);
    assert_int_equal(a.ss_family, AF_INET);
    assert_int_equal(ntohs(((struct sockaddr_in *)&a)->sin_port), 9564);
    line_address_text(&a, text);
    assert_string_equal(text, "127.0.0.1:9564");
    assert_int_equal(line_address("[2001:db8::1]:9564", &a, &len, &eb), CG_OK);
    assert_int_equal(a.ss_family, AF_INET6);
    line_address_text(&a, text);
    assert_string_equal(text, "[2001:db8::1]:9564");
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        assert_int_equal(line_address(bad[i], &a, &len, &eb), CG_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dial_lines),   cmocka_unit_test(ask_lines),
        cmocka_unit_test(answers),      cmocka_unit_test(errors_are_one_clean_line),
        cmocka_unit_test(roster_lines), cmocka_unit_test(addresses_are_numeric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
