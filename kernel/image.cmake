# The image and the programs that run on it. Freestanding: nothing of the host's headers but the compiler's own.
#
#   kernel_image(NAME definitions... SOURCES more...)  kernel image NAME in build/kernel/
#   native_program(NAME sources... LIBS)   program for the kernel, in build/kernel/
#   boot_image(NAME ROOT files...)         boot image NAME.img whose root task is the program ROOT
set(NATIVE_FLAGS -ffreestanding -fno-stack-protector -fno-pic -fno-pie -fno-asynchronous-unwind-tables -fno-builtin
    -mno-red-zone)
set(KERNEL_FLAGS ${NATIVE_FLAGS} -mcmodel=kernel -mgeneral-regs-only)
# No C function of the kernel needs to keep a register for its caller: the ways in have none.
if(CMAKE_C_COMPILER_ID STREQUAL GNU)
    list(APPEND KERNEL_FLAGS -fcall-used-rbx -fcall-used-r12 -fcall-used-r13 -fcall-used-r14 -fcall-used-r15)
endif()
set(KERNEL_DIR ${CMAKE_CURRENT_SOURCE_DIR})
set(KERNEL_ARCH boot.S trap.S machine.c serial.c pvh.c paging.c fpu.c trap.c apic.c boot_root.c)
list(TRANSFORM KERNEL_ARCH PREPEND ${KERNEL_DIR}/arch/x86_64/)
set(NATIVE_INCLUDES ${KERNEL_DIR} ${CMAKE_BINARY_DIR}/kernel)
enable_language(ASM)

add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/kernel/link.ld
    COMMAND ${CMAKE_C_COMPILER} -E -P -x c -I ${KERNEL_DIR}/arch/x86_64 ${KERNEL_DIR}/arch/x86_64/link.ld.S -o ${CMAKE_BINARY_DIR}/kernel/link.ld
    DEPENDS ${KERNEL_DIR}/arch/x86_64/link.ld.S ${KERNEL_DIR}/arch/x86_64/layout.h)
add_custom_target(kernel_link DEPENDS ${CMAKE_BINARY_DIR}/kernel/link.ld)

function(kernel_image name)
    cmake_parse_arguments(K "" "" "SOURCES" ${ARGN})
    set(objects ${KERNEL_OBJECT})
    if(NOT KERNEL_CHECK IN_LIST K_UNPARSED_ARGUMENTS)
        list(FILTER objects EXCLUDE REGEX "/check[^/]*\\.c$")
    endif()
    add_executable(${name} ${KERNEL_ARCH} ${objects} ${K_SOURCES})
    add_dependencies(${name} kernel_abi kernel_link)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/kernel
        LINK_DEPENDS ${CMAKE_BINARY_DIR}/kernel/link.ld)
    target_include_directories(${name} BEFORE PRIVATE ${NATIVE_INCLUDES} ${KERNEL_DIR}/arch/x86_64)
    target_compile_options(${name} PRIVATE ${KERNEL_FLAGS})
    target_compile_definitions(${name} PRIVATE ${K_UNPARSED_ARGUMENTS})
    target_link_options(${name} PRIVATE -nostdlib -static -Wl,-z,max-page-size=4096 -Wl,--build-id=none
        -Wl,--no-warn-rwx-segments -T ${CMAKE_BINARY_DIR}/kernel/link.ld)
endfunction()

function(native_program name)
    cmake_parse_arguments(P "" "" "LIBS" ${ARGN})
    add_executable(${name} ${P_UNPARSED_ARGUMENTS})
    add_dependencies(${name} kernel_abi)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/kernel)
    target_include_directories(${name} BEFORE PRIVATE ${NATIVE_INCLUDES} ${KERNEL_DIR}/user/lib ${KERNEL_DIR}/user/serial)
    target_compile_options(${name} PRIVATE ${NATIVE_FLAGS})
    target_link_libraries(${name} PRIVATE ${P_LIBS})
    target_link_options(${name} PRIVATE -nostdlib -static -Wl,-z,max-page-size=4096 -Wl,-z,separate-code
        -Wl,-z,noexecstack -Wl,-z,norelro -Wl,--build-id=none)
endfunction()

function(boot_image name root)
    set(files "")
    set(depends "")
    foreach(file ${ARGN})
        string(REGEX REPLACE "^[^=]*=" "" path ${file})
        list(APPEND files ${file})
        list(APPEND depends ${path})
    endforeach()
    add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/kernel/${name}.img
        COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/tools/mkimage.py --out ${CMAKE_BINARY_DIR}/kernel/${name}.img
            --root $<TARGET_FILE:${root}> ${files}
        DEPENDS ${CMAKE_SOURCE_DIR}/tools/mkimage.py ${root} ${depends})
    add_custom_target(${name}_image ALL DEPENDS ${CMAKE_BINARY_DIR}/kernel/${name}.img)
endfunction()

add_library(native_lib OBJECT)
set(NATIVE_LIB start.S sys.c holdings.c space.c boot.c elf.c component.c)
list(TRANSFORM NATIVE_LIB PREPEND ${KERNEL_DIR}/user/lib/)
target_sources(native_lib PRIVATE ${NATIVE_LIB})
add_dependencies(native_lib kernel_abi)
target_include_directories(native_lib BEFORE PRIVATE ${NATIVE_INCLUDES} ${KERNEL_DIR}/user/lib)
target_compile_options(native_lib PRIVATE ${NATIVE_FLAGS})

kernel_image(kernel.elf)
kernel_image(kernel-window.elf WINDOW)
# These check the whole invariant after each entry: with the small tables, and with tables in which the tests fit.
kernel_image(kernel-check.elf KERNEL_CHECK KERNEL_SMALL PHYS_FRAMES=4096 SOURCES arch/x86_64/check_entry.c)
kernel_image(kernel-check-tests.elf KERNEL_CHECK KERNEL_SMALL HOME_SLOTS=4096 PHYS_FRAMES=6144
    SOURCES arch/x86_64/check_entry.c)
native_program(native_root user/root/main.c LIBS native_lib)
native_program(personality user/personality/main.c user/personality/memory.c user/personality/load.c
    user/personality/calls.c LIBS native_lib)
native_program(serial user/serial/main.c LIBS native_lib)
file(GLOB NATIVE_TESTS CONFIGURE_DEPENDS ${KERNEL_DIR}/user/tests/*.c)
native_program(native_tests ${NATIVE_TESTS} test/matrix.c LIBS native_lib)
native_program(native_bench user/bench/main.c user/bench/messages.c user/bench/events.c user/bench/longest.c
    user/bench/loops.S user/tests/kit.c LIBS native_lib)
target_include_directories(native_bench PRIVATE ${KERNEL_DIR}/user/tests)

# Unmodified Linux programs, with glibc and, where it is installed, musl.
set(KERNEL_BIN ${CMAKE_BINARY_DIR}/kernel)
set(LINUX_PROGRAMS hello-glibc ask)
add_executable(hello-glibc user/linux/hello.c)
add_executable(ask user/linux/ask.c)
set_target_properties(hello-glibc ask PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${KERNEL_BIN})
target_link_options(hello-glibc PRIVATE -static)
target_link_options(ask PRIVATE -static)
find_program(MUSL_GCC musl-gcc)
if(MUSL_GCC)
    add_custom_command(OUTPUT ${KERNEL_BIN}/hello-musl
        COMMAND ${MUSL_GCC} -O2 -static -o ${KERNEL_BIN}/hello-musl ${KERNEL_DIR}/user/linux/hello.c
        DEPENDS ${KERNEL_DIR}/user/linux/hello.c)
    list(APPEND LINUX_PROGRAMS hello-musl)
endif()
set(NATIVE_FILES "")
foreach(program ${LINUX_PROGRAMS})
    list(APPEND NATIVE_FILES ${program}=${KERNEL_BIN}/${program})
endforeach()
boot_image(native native_root personality=${KERNEL_BIN}/personality serial=${KERNEL_BIN}/serial ${NATIVE_FILES})
boot_image(native_tests native_tests)
boot_image(native_bench native_bench)

cognu_script_test(native_check system ${CMAKE_SOURCE_DIR}/tools/native --check --icount --image native_tests.img)
cognu_script_test(native_check_window system ${CMAKE_SOURCE_DIR}/tools/native --check --icount --image native_tests.img --kernel kernel-window.elf)
cognu_script_test(native_programs system ${KERNEL_DIR}/user/linux/native_test.sh)
cognu_script_test(native_check_invariant full ${CMAKE_SOURCE_DIR}/tools/native --check --image native_tests.img
    --kernel kernel-check-tests.elf --memory 24 --deadline 400 --append tests=machine)
native_program(native_random user/random/main.c user/random/caller.c LIBS native_lib)
boot_image(native_random native_random)
cognu_script_test(native_random full ${CMAKE_SOURCE_DIR}/tools/native --check --image native_random.img
    --kernel kernel-check.elf --memory 16 --append calls=3000)
cognu_script_test(kernel_bench system ${CMAKE_SOURCE_DIR}/tools/kernel-bench --quick)
