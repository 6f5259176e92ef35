"""Electronics: computers, phones, audio and their accessories."""

from demo.vocabulary import Department, leaf

DEPARTMENT = Department(
    brands={
        "Lumo": 1.45, "Zentrix": 1.3, "Corevia": 1.15, "Pixelon": 1.0,
        "Soundry": 1.1, "Voltra": 0.95, "Techly": 0.75, "Bytebay": 0.65,
    },
    leaves=(
        leaf(
            "Electronics > Computers > Laptops", 780,
            nouns="laptop, notebook",
            words="portable computer, ultrabook, portable pc, student computer",
            needs="write essays in the library, edit videos while travelling, "
            "work from a cafe all day, computer to take to university",
            varies="memory",
            memory="8 gb, 16 gb, 32 gb", storage="256 gb, 512 gb, 1 tb",
            screen="13 inch, 14 inch, 16 inch", colour="silver, black, blue",
            use="gaming, school, business",
        ),
        leaf(
            "Electronics > Computers > Tablets", 330,
            nouns="tablet, touchscreen tablet",
            words="slate, ebook pad, touch pad computer, media pad",
            needs="watch movies on the plane, draw and take notes with a pen, "
            "let the kids watch cartoons in the car, read magazines in bed on a big screen",
            varies="storage",
            storage="64 gb, 128 gb, 256 gb", screen="8 inch, 10 inch, 12 inch",
            colour="silver, black, pink", use="kids, drawing, reading",
            feature="lightweight, waterproof, with stylus",
        ),
        leaf(
            "Electronics > Computers > Monitors", 240,
            nouns="monitor, computer display",
            words="pc screen, desktop screen, second screen, external screens",
            needs="see two documents side by side, bigger picture for my home office, "
            "play games with a smooth picture, plug my notebook into something larger",
            varies="screen",
            screen="24 inch, 27 inch, 32 inch", resolution="full hd, 4k, ultrawide",
            feature="curved, adjustable, portable", use="gaming, office, photo editing",
        ),
        leaf(
            "Electronics > Computer Gear > Laptop Sleeves", 28,
            nouns="laptop sleeve, laptop case",
            words="notebook pouch, computer cover, macbook bag, computer slip",
            needs="protect my computer in a backpack, carry my notebook without scratches, "
            "soft cover against bumps on the way to class, keep the rain off my computer",
            goes_with="Laptops",
            colour="grey, black, navy, pink", material="neoprene, felt, leather",
            size="13 inch, 14 inch, 16 inch", feature="waterproof, slim, with handle",
        ),
        leaf(
            "Electronics > Computer Gear > Mice", 32,
            nouns="computer mouse, optical mouse",
            words="pointing device, cursor clicker, pc clicker, trackball",
            needs="my wrist hurts from the touchpad, click faster in shooter games, "
            "scroll through spreadsheets comfortably, move the cursor without a touchpad",
            colour="black, white, grey, pink", connection="wireless, wired, bluetooth",
            feature="ergonomic, quiet, rechargeable", use="gaming, office, travel",
        ),
        leaf(
            "Electronics > Computer Gear > Keyboards", 58,
            nouns="keyboard, computer keyboard",
            words="typing board, keypad, pc keys, typing device",
            needs="type faster at work, write a novel comfortably, "
            "nice clicky feel when typing, enter text on my tablet quickly",
            colour="black, white, grey", connection="wireless, wired, bluetooth",
            feature="mechanical, quiet, backlit", layout="compact, full size, split",
        ),
        leaf(
            "Electronics > Computer Gear > Flash Drives", 16,
            nouns="flash drive, usb stick",
            words="thumb drive, memory stick, pen drive, jump drive",
            needs="carry my files in my pocket, give photos to a friend without internet, "
            "move documents between computers, save a presentation for tomorrow",
            varies="storage",
            storage="32 gb, 64 gb, 128 gb, 256 gb", connection="usb a, usb c",
            material="metal, plastic", feature="encrypted, waterproof, tiny",
        ),
        leaf(
            "Electronics > Audio > Headphones", 110,
            nouns="headphones, over-ear headphones",
            words="headset, cans, music muffs, earphones with headband",
            needs="shut out the noise on a plane, music at my desk without disturbing others, "
            "concentrate in an open office, watch late night tv without waking the kids",
            colour="black, white, blue, silver", connection="wireless, wired",
            feature="noise cancelling, foldable, padded", use="gaming, studio, travel",
        ),
        leaf(
            "Electronics > Audio > Earbuds", 70,
            nouns="earbuds, in-ear headphones",
            words="earphones, ear pods, ear pieces, airbuds",
            needs="listen to podcasts while running, tiny music player for my ears at the gym, "
            "take calls hands free while walking, music that does not fall out when i jump",
            colour="black, white, green, pink", connection="wireless, wired",
            feature="noise cancelling, waterproof, lightweight", use="running, calls, sleeping",
        ),
        leaf(
            "Electronics > Audio > Bluetooth Speakers", 75,
            nouns="bluetooth speaker, portable speaker",
            words="music box, boombox, sound box, jukebox",
            needs="play music at a beach party, loud tunes in the garden, "
            "hear my playlist in the shower, stream songs from my phone to the whole room",
            colour="black, blue, red, grey", power="10 watt, 20 watt, 40 watt",
            feature="waterproof, lightweight, with lights", use="outdoor, party, shower",
        ),
        leaf(
            "Electronics > Phones > Smartphones", 480,
            nouns="smartphone, android phone",
            words="cell phone, mobile, cellular, handset",
            needs="take great pictures and call my mum, new device for calls and texting, "
            "first device to call home for my daughter, chat and browse on the go",
            varies="storage",
            storage="64 gb, 128 gb, 256 gb", colour="black, white, blue, green",
            screen="5 inch, 6 inch, 7 inch", feature="dual sim, waterproof, long battery",
        ),
        leaf(
            "Electronics > Phone Gear > Phone Cases", 17,
            nouns="phone case, phone cover",
            words="cell bumper, mobile shell, handset protector, cellphone skin",
            needs="i keep dropping my mobile, protect my screen and back from scratches, "
            "stop my cell from breaking on the floor, make my mobile look prettier",
            goes_with="Smartphones",
            colour="black, clear, pink, blue, red", material="silicone, leather, plastic",
            fits="Lumo 8, Lumo 9, Zentrix S, Pixelon 5", feature="shockproof, slim, with stand",
        ),
        leaf(
            "Electronics > Phone Gear > Phone Chargers", 22,
            nouns="phone charger, usb charger",
            words="power adapter, charging plug, wall plug, charging brick",
            needs="my battery is empty by noon, fill up my mobile quickly, "
            "plug two devices into one socket, power my cell overnight",
            goes_with="Smartphones",
            colour="white, black", power="20 watt, 30 watt, 65 watt",
            connection="usb c, wireless, magnetic", feature="foldable, 2 port, fast",
        ),
        leaf(
            "Electronics > Phone Gear > Power Banks", 34,
            nouns="power bank, battery pack",
            words="portable charger, external battery, juice pack, backup battery",
            needs="charge my mobile while hiking, never run out of battery at a festival, "
            "extra energy for my devices on long flights, top up my mobile without a socket",
            colour="black, white, blue", capacity="5000 mah, 10000 mah, 20000 mah",
            connection="usb c, wireless, magnetic", feature="slim, solar, fast",
        ),
    ),
)  # fmt: skip
