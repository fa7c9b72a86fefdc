/* A QEMU plugin that counts what a program executes between two of its addresses: instructions, loads and stores (a load of
 * several words counts once a word; one of two words only once in QEMU 10.0). One line a region:
 *
 *     REGION <number> instructions=<n> loads=<n> stores=<n>
 *
 * The few declarations it needs are its own, so it builds with nothing but a C compiler. They are the same in all versions of
 * QEMU's plugin interface; INTERFACE is the version to ask for: 1 before QEMU 9.0, 2 from there on. */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*block_callback)(plugin_id, struct qemu_plugin_tb *);
typedef void (*instruction_callback)(unsigned, void *);
typedef void (*memory_callback)(unsigned, uint32_t, uint64_t, void *);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, block_callback);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, instruction_callback, int, void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, memory_callback, int, int, void *);
bool qemu_plugin_mem_is_store(uint32_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = INTERFACE;

enum { NO_REGISTERS = 0, READ_AND_WRITE = 3 };

struct counts {
    uint64_t instructions, loads, stores;
};

static struct counts now, start;
static uint64_t begin_address, end_address;
static unsigned region;

static void begin(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    start = now;
}

static void end(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    fprintf(stderr, "REGION %u instructions=%" PRIu64 " loads=%" PRIu64 " stores=%" PRIu64 "\n", region++,
            now.instructions - start.instructions, now.loads - start.loads, now.stores - start.stores);
}

static void executed(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    now.instructions++;
}

static void access(unsigned cpu, uint32_t info, uint64_t address, void *data) {
    (void)cpu, (void)address, (void)data;
    if (qemu_plugin_mem_is_store(info))
        now.stores++;
    else
        now.loads++;
}

static void translated(plugin_id id, struct qemu_plugin_tb *block) {
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        uint64_t address = qemu_plugin_insn_vaddr(instruction);
        if (address == begin_address)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, begin, NO_REGISTERS, NULL);
        if (address == end_address)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, end, NO_REGISTERS, NULL);
        qemu_plugin_register_vcpu_insn_exec_cb(instruction, executed, NO_REGISTERS, NULL);
        qemu_plugin_register_vcpu_mem_cb(instruction, access, NO_REGISTERS, READ_AND_WRITE, NULL);
    }
}

/* Arguments: begin=ADDRESS and end=ADDRESS, of the first instructions of two functions. */
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "begin=", 6) == 0)
            begin_address = strtoull(argv[i] + 6, NULL, 0);
        else if (strncmp(argv[i], "end=", 4) == 0)
            end_address = strtoull(argv[i] + 4, NULL, 0);
        else
            return 1;
    }
    if (begin_address == 0 || end_address == 0)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
