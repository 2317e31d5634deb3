/*
 * The tables of crc.h. CRC is linear, so an entry is the sum of the entries of its index's bits:
 * the compiler makes 2,048 of them from eight columns of eight.
 */
#include "wire/crc.h"

/* BIT(i, b, v): v if bit b of i is set. */
#define BIT(i, b, v) ((i) >> (b)&1 ? UINT32_C(v) : 0)
#define SUM(i, v0, v1, v2, v3, v4, v5, v6, v7)                                           \
	(BIT(i, 0, v0) ^ BIT(i, 1, v1) ^ BIT(i, 2, v2) ^ BIT(i, 3, v3) ^ BIT(i, 4, v4) ^ \
	 BIT(i, 5, v5) ^ BIT(i, 6, v6) ^ BIT(i, 7, v7))

/* COLUMN_k(i): octet i followed by k zero octets. */
/* clang-format off */
#define COLUMN_0(i) SUM(i, 0x77073096, 0xEE0E612C, 0x076DC419, 0x0EDB8832, \
	0x1DB71064, 0x3B6E20C8, 0x76DC4190, 0xEDB88320)
#define COLUMN_1(i) SUM(i, 0x191B3141, 0x32366282, 0x646CC504, 0xC8D98A08, \
	0x4AC21251, 0x958424A2, 0xF0794F05, 0x3B83984B)
#define COLUMN_2(i) SUM(i, 0x01C26A37, 0x0384D46E, 0x0709A8DC, 0x0E1351B8, \
	0x1C26A370, 0x384D46E0, 0x709A8DC0, 0xE1351B80)
#define COLUMN_3(i) SUM(i, 0xB8BC6765, 0xAA09C88B, 0x8F629757, 0xC5B428EF, \
	0x5019579F, 0xA032AF3E, 0x9B14583D, 0xED59B63B)
#define COLUMN_4(i) SUM(i, 0x3D6029B0, 0x7AC05360, 0xF580A6C0, 0x30704BC1, \
	0x60E09782, 0xC1C12F04, 0x58F35849, 0xB1E6B092)
#define COLUMN_5(i) SUM(i, 0xCB5CD3A5, 0x4DC8A10B, 0x9B914216, 0xEC53826D, \
	0x03D6029B, 0x07AC0536, 0x0F580A6C, 0x1EB014D8)
#define COLUMN_6(i) SUM(i, 0xA6770BB4, 0x979F1129, 0xF44F2413, 0x33EF4E67, \
	0x67DE9CCE, 0xCFBD399C, 0x440B7579, 0x8816EAF2)
#define COLUMN_7(i) SUM(i, 0xCCAA009E, 0x4225077D, 0x844A0EFA, 0xD3E51BB5, \
	0x7CBB312B, 0xF9766256, 0x299DC2ED, 0x533B85DA)
/* clang-format on */

#define X4(f, i) f(i), f(i + 1), f(i + 2), f(i + 3)
#define X16(f, i) X4(f, i), X4(f, i + 4), X4(f, i + 8), X4(f, i + 12)
#define X64(f, i) X16(f, i), X16(f, i + 16), X16(f, i + 32), X16(f, i + 48)
#define X256(f)                                                 \
	{                                                       \
		X64(f, 0), X64(f, 64), X64(f, 128), X64(f, 192) \
	}

const uint32_t crc_table[8][256] = {
	X256(COLUMN_0), X256(COLUMN_1), X256(COLUMN_2), X256(COLUMN_3),
	X256(COLUMN_4), X256(COLUMN_5), X256(COLUMN_6), X256(COLUMN_7),
};
