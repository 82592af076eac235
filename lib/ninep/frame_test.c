/* Tests of the framer: however a stream is cut up, the same frames come out; bad sizes are refused.
 */
#include <cognu/ninep.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { FRAMES = 9, STREAM_BYTES_MAX = 4096, FRAME_MAX = 1024 };

static uint8_t stream[STREAM_BYTES_MAX];
static size_t stream_len;
static uint32_t sizes[FRAMES] = {7, 8, 32, 7, 1024, 100, 11, 1023, 7};

static int fill_stream(void **state)
{
    (void)state;
    struct cg_buf b = cg_buf_writer(stream, sizeof stream);
    for (uint32_t i = 0; i < FRAMES; i++) {
        cg_put_u32(&b, sizes[i]);
        for (uint32_t at = 4; at < sizes[i]; at++) {
            cg_put_u8(&b, (uint8_t)(at * 31 + i));
        }
    }
    assert_false(b.bad);
    stream_len = b.pos;
    return 0;
}

static size_t check_frame(struct ninep_frame *f, size_t at, uint32_t i)
{
    assert_true(i < FRAMES);
    assert_int_equal(f->len, sizes[i]);
    assert_memory_equal(f->data, stream + at, sizes[i]);
    ninep_frame_free(f);
    return at + sizes[i];
}

/* Offers the stream in pieces of the given size. */
static void feed_in_pieces(size_t piece)
{
    struct ninep_framer fr;
    ninep_framer_init(&fr, FRAME_MAX);
    size_t checked = 0;
    uint32_t frames = 0;
    for (size_t at = 0; at < stream_len;) {
        size_t n = stream_len - at < piece ? stream_len - at : piece;
        for (size_t end = at + n; at < end;) {
            struct ninep_frame *f;
            size_t used;
            assert_int_equal(ninep_framer_feed(&fr, stream + at, end - at, &used, &f), CG_OK);
            assert_true(used > 0);
            at += used;
            if (f) {
                checked = check_frame(f, checked, frames++);
                assert_int_equal(checked, at);
            }
        }
    }
    assert_int_equal(frames, FRAMES);
    ninep_framer_fini(&fr);
}

static void any_cut_gives_the_same_frames(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= 40; piece++) {
        feed_in_pieces(piece);
    }
    feed_in_pieces(stream_len);
}

static void received_in_place(void **state)
{
    (void)state;
    struct ninep_framer fr;
    ninep_framer_init(&fr, FRAME_MAX);
    size_t cap, used;
    struct ninep_frame *f;
    assert_null(ninep_framer_space(&fr, &cap));
    assert_int_equal(cap, 0);
    size_t at = 7 + 8 + 32 + 7; /* the frame of 1024 bytes */
    assert_int_equal(ninep_framer_feed(&fr, stream + at, 3, &used, &f), CG_OK);
    assert_null(ninep_framer_space(&fr, &cap));
    assert_int_equal(ninep_framer_feed(&fr, stream + at + 3, 1, &used, &f), CG_OK);
    assert_null(f);
    for (size_t done = 4; done < 1024; done += 60) {
        uint8_t *space = ninep_framer_space(&fr, &cap);
        assert_non_null(space);
        assert_int_equal(cap, 1024 - done);
        memcpy(space, stream + at + done, 60);
        f = ninep_framer_commit(&fr, 60);
        assert_true((f != NULL) == (done + 60 == 1024));
    }
    check_frame(f, at, 4);
    assert_null(ninep_framer_space(&fr, &cap));
    ninep_framer_fini(&fr);
}

static void refuse(uint32_t size, cg_err expected)
{
    uint8_t head[8] = {0};
    struct cg_buf b = cg_buf_writer(head, sizeof head);
    cg_put_u32(&b, size);
    struct ninep_framer fr;
    ninep_framer_init(&fr, FRAME_MAX);
    struct ninep_frame *f;
    size_t used;
    assert_int_equal(ninep_framer_feed(&fr, head, 3, &used, &f), CG_OK);
    assert_int_equal(ninep_framer_feed(&fr, head + 3, 5, &used, &f), expected);
    assert_null(f);
    assert_int_equal(ninep_framer_feed(&fr, head, 8, &used, &f), expected); /* it is final */
    ninep_framer_fini(&fr);
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    for (uint32_t size = 0; size < NINEP_P_HEADER_BYTES; size++) {
        refuse(size, CG_EPROTO);
    }
    refuse(FRAME_MAX + 1, CG_EMSGSIZE);
    refuse(UINT32_MAX, CG_EMSGSIZE);
}

static void short_memory_can_be_tried_again(void **state)
{
    (void)state;
    struct ninep_framer fr;
    ninep_framer_init(&fr, FRAME_MAX);
    struct ninep_frame *f;
    size_t used, used_later;
    cg_alloc_fail_at(1);
    assert_int_equal(ninep_framer_feed(&fr, stream, 7, &used, &f), CG_ENOMEM);
    cg_alloc_fail_at(0);
    assert_int_equal(ninep_framer_feed(&fr, stream + used, 7 - used, &used_later, &f), CG_OK);
    assert_int_equal(used + used_later, 7);
    assert_non_null(f);
    check_frame(f, 0, 0);
    ninep_framer_fini(&fr);
}

static void fini_frees_what_is_under_way(void **state)
{
    (void)state;
    struct ninep_framer fr;
    ninep_framer_init(&fr, FRAME_MAX);
    struct ninep_frame *f;
    size_t used;
    assert_int_equal(ninep_framer_feed(&fr, stream, 6, &used, &f), CG_OK);
    assert_non_null(fr.frame);
    ninep_framer_fini(&fr);
    assert_null(fr.frame);
    ninep_frame_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_gives_the_same_frames),
        cmocka_unit_test(received_in_place),
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(short_memory_can_be_tried_again),
        cmocka_unit_test(fini_frees_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, fill_stream, NULL);
}
