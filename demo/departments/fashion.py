"""Fashion: shoes, jackets and accessories."""

from demo.vocabulary import Department, leaf

DEPARTMENT = Department(
    brands={
        "Milano Row": 1.5, "Harlow": 1.3, "Stride": 1.15, "Fenwick": 1.0,
        "Rainmark": 1.05, "Cottonwood": 0.9, "Basica": 0.7, "Urbn Day": 0.65,
    },
    leaves=(
        leaf(
            "Fashion > Shoes > Running Shoes", 88,
            nouns="running shoes, trainers",
            words="jogging sneakers, sport footwear, marathon runners, gym kicks",
            needs="train for my first marathon, jog on the treadmill, "
            "my knees hurt when i jog, cushion my feet on long distances",
            colour="black, white, blue, pink, grey", fit="women, men, kids",
            size="size 38, size 40, size 42, size 44", feature="breathable, wide, lightweight",
            use="trail, road, treadmill",
        ),
        leaf(
            "Fashion > Shoes > Hiking Boots", 125,
            nouns="hiking boots, trekking boots",
            words="mountain footwear, walking shoes, trail shoes, climbing shoes",
            needs="walk up mountains without twisting my ankle, keep feet dry on muddy trails, "
            "grip on wet rocks, long walks with a heavy pack",
            colour="brown, black, green, grey", fit="women, men, kids",
            size="size 38, size 40, size 42, size 44", material="leather, suede, polyester",
            feature="waterproof, insulated, wide",
        ),
        leaf(
            "Fashion > Shoes > Slippers", 28,
            nouns="slippers, house slippers",
            words="house shoes, indoor footwear, scuffs, home shoes",
            needs="keep my feet warm at home, soft to walk around the house in, "
            "cold tiles in the morning, something cosy for my feet in the evening",
            colour="grey, navy, pink, beige", fit="women, men, kids",
            size="size 38, size 40, size 42, size 44", material="wool, memory foam, cotton",
            feature="washable, non-slip, open toe",
        ),
        leaf(
            "Fashion > Outerwear > Rain Jackets", 82,
            nouns="rain jacket, waterproof jacket",
            words="raincoat, mackintosh, anorak, slicker",
            needs="stay dry when it pours, walk to work in wet weather, "
            "something to wear in a storm, shell for a showery weekend",
            varies="size",
            size="small, medium, large, extra large", colour="yellow, navy, black, green",
            fit="women, men, kids", feature="breathable, lightweight, packable",
        ),
        leaf(
            "Fashion > Outerwear > Winter Coats", 150,
            nouns="winter coat, puffer jacket",
            words="parka, overcoat, thermal outerwear, snow coat",
            needs="stay warm when it is freezing, get through a snowy january, "
            "something warm for a trip to norway, outdoor clothing for minus ten degrees",
            varies="size",
            size="small, medium, large, extra large", colour="black, navy, beige, burgundy",
            fit="women, men, kids", material="down, wool, polyester",
            feature="hooded, waterproof, long",
        ),
        leaf(
            "Fashion > Accessories > Wallets", 38,
            nouns="wallet, card holder",
            words="billfold, money pouch, pocketbook, coin purse",
            needs="carry my cash and cards, keep my credit cards from being scanned, "
            "gift for dad who has too many cards, slim place for bank notes",
            colour="black, brown, navy, red", material="leather, faux leather, carbon",
            feature="slim, with zipper, rfid blocking", fit="women, men",
        ),
        leaf(
            "Fashion > Accessories > Sunglasses", 58,
            nouns="sunglasses, polarized sunglasses",
            words="shades, sun specs, dark glasses, sun goggles",
            needs="protect my eyes from bright light, drive into the sun safely, "
            "look cool on the beach, stop squinting on the ski slope",
            colour="black, brown, gold, blue", shape="aviator, round, square, wraparound",
            fit="women, men, kids", feature="polarized, mirrored, lightweight",
            use="driving, skiing, beach",
        ),
        leaf(
            "Fashion > Accessories > Umbrellas", 24,
            nouns="umbrella, folding umbrella",
            words="brolly, parasol, rain shield, rain canopy",
            needs="walk in the rain without getting wet, keep my hair dry in a downpour, "
            "small rain protection for my handbag, something that does not flip in the wind",
            colour="black, navy, red, clear", size="compact, full size, golf",
            feature="windproof, automatic, lightweight", handle="wooden handle, rubber handle",
        ),
    ),
)  # fmt: skip
