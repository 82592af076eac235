/* Decoding the invocations of the monitor: looking into the tables, the debug line, the end. */
#include "arch/arch.h"
#include "object/decode.h"
#include "object/dump.h"

enum { A_FIELD = 1, A_FIRST, A_COUNT };

/*@ requires d_word[0] < FIELDS;
    assigns d_argument, d_limit;
    ensures \result == 0 ==> d_word[2] <= max && d_word[1] + d_word[2] <= field_length(d_word[0]);
    ensures \result < ERRORS; */
static uint32_t check_entries(uint32_t max)
{
    uint32_t length = dump_length((uint32_t)d_word[A_FIELD - 1]);
    if (d_word[A_COUNT - 1] > max) {
        return refuse(ERR_RANGE, A_COUNT, max + 1ULL);
    }
    if (d_word[A_COUNT - 1] > length || d_word[A_FIRST - 1] > length - d_word[A_COUNT - 1]) {
        return refuse(ERR_RANGE, A_FIRST, length);
    }
    return 0;
}

/*@ requires d_word[0] < FIELDS;
    assigns d_argument, d_limit, d_word[0 .. DUMP_WORDS - 1], d_answers;
    ensures \result == 0 ==> d_answers == \old(d_word[2]) <= DUMP_WORDS;
    ensures \result < ERRORS && (\result != 0 ==> d_answers == \old(d_answers));
    ensures \result == 0 && \old(d_word[0]) == FIELD_OWNER ==>
        \forall integer n; 0 <= n < d_answers ==> d_word[n] == owner[\old(d_word[1]) + n]; */
static uint32_t decode_read(void)
{
    uint32_t error = check_entries(DUMP_WORDS);
    if (error != 0) {
        return error;
    }
    uint32_t field = (uint32_t)d_word[0];
    uint32_t first = (uint32_t)d_word[1];
    uint32_t count = (uint32_t)d_word[2];
    /*@ loop invariant 0 <= n <= count;
        loop invariant field == FIELD_OWNER ==>
            \forall integer k; 0 <= k < n ==> d_word[k] == owner[first + k];
        loop assigns n, d_word[0 .. DUMP_WORDS - 1];
        loop variant count - n; */
    for (uint32_t n = 0; n < count; n++) {
        d_word[n] = dump_entry(field, first + n);
    }
    d_answers = count;
    return 0;
}

/*@ requires d_word[0] < FIELDS;
    assigns d_argument, d_limit, d_word[0 .. 1], d_answers;
    ensures \result == 0 ==> d_answers == 2 && d_word[1] == field_length(\old(d_word[0]));
    ensures \result < ERRORS && (\result != 0 ==> d_answers == \old(d_answers));
    ensures \result == 0 && \old(d_word[2]) == 0 ==> d_word[0] == 0; */
static uint32_t decode_sum(void)
{
    uint32_t error = check_entries(DUMP_SLICE);
    if (error != 0) {
        return error;
    }
    uint32_t field = (uint32_t)d_word[0];
    d_word[0] = dump_sum(field, (uint32_t)d_word[1], (uint32_t)d_word[2], 0);
    d_word[1] = dump_length(field);
    d_answers = 2;
    return 0;
}

/*@ requires d_word[0] <= 64 && 2 <= d_words <= 9;
    assigns d_argument, d_limit;
    ensures \result == 0 ==> d_word[0] <= (d_words - 1) * 8;
    ensures \result < ERRORS; */
static uint32_t decode_put(void)
{
    uint32_t count = (uint32_t)d_word[0];
    if (count > (d_words - 1) * 8) {
        return refuse(ERR_RANGE, 1, (d_words - 1) * 8 + 1ULL);
    }
    /*@ loop invariant 0 <= n <= count;
        loop assigns n;
        loop variant count - n; */
    for (uint32_t n = 0; n < count; n++) {
        arch_debug_put((uint8_t)((d_word[1 + n / 8] >> (n % 8 * 8)) % 256));
    }
    return 0;
}

uint32_t decode_monitor(uint32_t label)
{
    switch (label) {
    case INV_MONITOR_READ:
        return decode_read();
    case INV_MONITOR_SUM:
        return decode_sum();
    case INV_MONITOR_PUT:
        return decode_put();
    default:
        arch_stop((uint32_t)d_word[0]);
        return 0;
    }
}
