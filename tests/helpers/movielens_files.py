"""The files of a data set like MovieLens 100K: three users, three films, four ratings."""

START = 880_000_000
USERS = "1|25|M|technician|85711\n2|45|F|other|V1G4L\n3|7|M|writer|02067\n"
FLAGS = "|0" * 18
ITEMS = (
    f"1|Toy Story (1995)|01-Jan-1995||http://host/M?Toy%20Story|0{FLAGS[:-2]}|1\n"
    f"2|unknown||||1{FLAGS}\n"
    f"3|Caf\xe9 (1971)|4-Feb-1971||http://host/|0{FLAGS}\n"
)
# In order of time: user 2 likes item 3, user 1 likes it not, user 1 likes item 1, user 3 item 3.
RATINGS = f"""1\t3\t3\t{START + 10}
3\t3\t5\t{START + 20}
1\t1\t4\t{START + 10}
2\t3\t5\t{START}
"""


def write(folder):
    (folder / "u.user").write_text(USERS)
    (folder / "u.item").write_text(ITEMS, encoding="latin-1")
    (folder / "u.data").write_text(RATINGS)
