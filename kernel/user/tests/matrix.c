/* The matrix of refusals (test/matrix.h) on the kernel: one test an invocation. */
#include "objects.h"

#include "abi/abi_names.h"
#include "test/matrix.h"

#define CNODE_PART 64u

static struct matrix env;

uint32_t matrix_invoke(uint64_t handle, uint32_t label, uint32_t words,
                       uint64_t word[MSG_WORDS_REGS])
{
    return kernel_invoke(handle, label, words, word);
}

/* The first entries of all tables, and the slots of the cnode, which lie further on. */
uint64_t matrix_sum(void)
{
    uint64_t sum = kit_sum(), first = look(env.first + HAS_CNODE, LOOK_OBJECT);
    for (uint64_t field = FIELD_S_TYPE; field <= FIELD_S_HOME; field++) {
        uint64_t answer[MSG_WORDS_REGS];
        (void)monitor_sum(BOOT_MONITOR, field, first, CNODE_PART, answer);
        sum = sum * 31 + answer[0];
    }
    return sum;
}

void matrix_failed(uint32_t label, const char *what, uint64_t value, uint32_t error,
                   uint64_t argument)
{
    (void)label;
    print("# ");
    print(what);
    print(" ");
    print_hex(value);
    print(": ");
    print(error_name[error]);
    print(", argument ");
    print_number(argument);
    print("\n");
}

static void prepare(void)
{
    static const uint16_t length[KINDS] = {
        [KIND_SLOT] = 128, [KIND_THREAD] = 4,    [KIND_ENDPOINT] = 8, [KIND_NOTIFICATION] = 4,
        [KIND_REPLY] = 4,  [KIND_CONTEXT] = 4,   [KIND_FRAME] = 1200, [KIND_DEVICE] = 4,
        [KIND_IRQ] = 16,   [KIND_PORT] = 0x1000,
    };
    env = (struct matrix){.cnode = kit.cnode, .monitor = BOOT_MONITOR, .slots = kit.slots};
    for (unsigned kind = 1; kind < KINDS; kind++) {
        env.untyped[kind] = untyped_new(&kit, kind, length[kind]);
    }
    env.first = slots_new(&kit, HAS_END);
}

static bool refuses(uint32_t label)
{
    uint32_t cases = 0;
    prepare();
    if (matrix_furnish(&env) != 0) {
        return false;
    }
    uint32_t failed = matrix_run(&env, label, &cases);
    print("# ");
    print_number(cases);
    print(" cases\n");
    return failed == 0;
}

TEST(matrix_untyped_retype_refuses)
{
    CHECK(refuses(INV_UNTYPED_RETYPE));
}

TEST(matrix_cnode_copy_refuses)
{
    CHECK(refuses(INV_CNODE_COPY));
}

TEST(matrix_cnode_mint_refuses)
{
    CHECK(refuses(INV_CNODE_MINT));
}

TEST(matrix_cnode_move_refuses)
{
    CHECK(refuses(INV_CNODE_MOVE));
}

TEST(matrix_cnode_delete_refuses)
{
    CHECK(refuses(INV_CNODE_DELETE));
}

TEST(matrix_cnode_revoke_refuses)
{
    CHECK(refuses(INV_CNODE_REVOKE));
}

TEST(matrix_cnode_extend_refuses)
{
    CHECK(refuses(INV_CNODE_EXTEND));
}

TEST(matrix_cnode_look_refuses)
{
    CHECK(refuses(INV_CNODE_LOOK));
}

TEST(matrix_cnode_cancel_refuses)
{
    CHECK(refuses(INV_CNODE_CANCEL));
}

TEST(matrix_thread_bind_refuses)
{
    CHECK(refuses(INV_THREAD_BIND));
}

TEST(matrix_thread_write_refuses)
{
    CHECK(refuses(INV_THREAD_WRITE));
}

TEST(matrix_thread_read_refuses)
{
    CHECK(refuses(INV_THREAD_READ));
}

TEST(matrix_thread_priority_refuses)
{
    CHECK(refuses(INV_THREAD_PRIORITY));
}

TEST(matrix_thread_resume_refuses)
{
    CHECK(refuses(INV_THREAD_RESUME));
}

TEST(matrix_thread_suspend_refuses)
{
    CHECK(refuses(INV_THREAD_SUSPEND));
}

TEST(matrix_context_configure_refuses)
{
    CHECK(refuses(INV_CONTEXT_CONFIGURE));
}

TEST(matrix_context_consumed_refuses)
{
    CHECK(refuses(INV_CONTEXT_CONSUMED));
}

TEST(matrix_table_map_refuses)
{
    CHECK(refuses(INV_TABLE_MAP));
}

TEST(matrix_table_unmap_refuses)
{
    CHECK(refuses(INV_TABLE_UNMAP));
}

TEST(matrix_frame_map_refuses)
{
    CHECK(refuses(INV_FRAME_MAP));
}

TEST(matrix_frame_unmap_refuses)
{
    CHECK(refuses(INV_FRAME_UNMAP));
}

TEST(matrix_frame_address_refuses)
{
    CHECK(refuses(INV_FRAME_ADDRESS));
}

TEST(matrix_device_map_refuses)
{
    CHECK(refuses(INV_DEVICE_MAP));
}

TEST(matrix_device_unmap_refuses)
{
    CHECK(refuses(INV_DEVICE_UNMAP));
}

TEST(matrix_device_address_refuses)
{
    CHECK(refuses(INV_DEVICE_ADDRESS));
}

TEST(matrix_irq_bind_refuses)
{
    CHECK(refuses(INV_IRQ_BIND));
}

TEST(matrix_irq_unbind_refuses)
{
    CHECK(refuses(INV_IRQ_UNBIND));
}

TEST(matrix_irq_ack_refuses)
{
    CHECK(refuses(INV_IRQ_ACK));
}

TEST(matrix_port_in_refuses)
{
    CHECK(refuses(INV_PORT_IN));
}

TEST(matrix_port_out_refuses)
{
    CHECK(refuses(INV_PORT_OUT));
}

TEST(matrix_monitor_read_refuses)
{
    CHECK(refuses(INV_MONITOR_READ));
}

TEST(matrix_monitor_sum_refuses)
{
    CHECK(refuses(INV_MONITOR_SUM));
}

TEST(matrix_monitor_put_refuses)
{
    CHECK(refuses(INV_MONITOR_PUT));
}

TEST(matrix_monitor_stop_refuses)
{
    CHECK(refuses(INV_MONITOR_STOP));
}
