"""Kitchen: drinkware, cookware, small appliances."""

from demo.vocabulary import Department, leaf

DEPARTMENT = Department(
    brands={
        "Copperleaf": 1.5, "Brewhart": 1.3, "Tasso": 1.1, "Simmera": 1.0,
        "Northpot": 1.0, "Kettlow": 0.9, "Plainware": 0.7, "Dayspoon": 0.65,
    },
    leaves=(
        leaf(
            "Kitchen > Drinkware > Travel Mugs", 24,
            nouns="travel mug, insulated tumbler",
            words="thermos cup, to go coffee cup, car cup, coffee flask",
            needs="something to keep coffee hot on the road, take hot tea on the train, "
            "drink coffee while driving without spilling, keep cocoa warm on a winter walk",
            colour="black, white, navy, green, pink", material="stainless steel, ceramic, plastic",
            capacity="350 ml, 500 ml, 750 ml", feature="leakproof, dishwasher safe, lightweight",
            use="commuting, camping, office",
        ),
        leaf(
            "Kitchen > Drinkware > Water Bottles", 18,
            nouns="water bottle, drinking bottle",
            words="canteen, hydration flask, sports drink container, aqua flask",
            needs="stay hydrated at the gym, carry water on a hike, "
            "something to drink from during a bike ride, stop buying disposable plastic at school",
            colour="blue, black, clear, green, pink", material="stainless steel, glass, plastic",
            capacity="500 ml, 750 ml, 1 l", feature="leakproof, insulated, lightweight",
            use="gym, school, hiking",
        ),
        leaf(
            "Kitchen > Drinkware > Coffee Mugs", 12,
            nouns="coffee mug, ceramic cup",
            words="teacup, hot drink beaker, breakfast cups, latte glass",
            needs="something to drink my morning coffee from, have a cup of tea at my desk, "
            "serve hot chocolate to guests, small present for a coworker who loves tea",
            colour="white, black, blue, yellow, red", material="stoneware, porcelain, glass",
            capacity="250 ml, 350 ml, 450 ml", feature="dishwasher safe, stackable, handmade",
            pack="single, set of 4, set of 6",
        ),
        leaf(
            "Kitchen > Cookware > Frying Pans", 38,
            nouns="frying pan, skillet",
            words="fry pan, egg pan, saute pan, griddle",
            needs="cook eggs without them sticking, sear a steak on the stove, "
            "make pancakes on sunday, flip an omelette easily",
            varies="width",
            width="20 cm, 24 cm, 28 cm, 32 cm", material="cast iron, stainless steel, aluminium",
            feature="non-stick, oven safe, lightweight", hob="induction, gas, ceramic hob",
            colour="black, red, copper",
        ),
        leaf(
            "Kitchen > Cookware > Saucepans", 34,
            nouns="saucepan, cooking pot",
            words="stew pan, soup kettle, pasta boiler, stockpot",
            needs="boil pasta for the family, heat up soup, "
            "make a big batch of stew, simmer tomato sauce slowly",
            varies="capacity",
            capacity="1.5 l, 2 l, 3 l, 5 l", material="stainless steel, aluminium, copper",
            feature="non-stick, oven safe, with glass lid", hob="induction, gas, ceramic hob",
        ),
        leaf(
            "Kitchen > Cookware > Baking Trays", 16,
            nouns="baking tray, oven sheet",
            words="cookie sheet, bake pan, roasting tin, biscuit sheet",
            needs="bake cookies with the kids, roast vegetables in the oven, "
            "make a sheet of brownies, warm up frozen fries in the oven",
            varies="width",
            width="30 cm, 36 cm, 42 cm", material="carbon steel, aluminium, silicone",
            feature="non-stick, dishwasher safe, deep", pack="single, set of 2, set of 3",
        ),
        leaf(
            "Kitchen > Appliances > Electric Kettles", 42,
            nouns="electric kettle, water kettle",
            words="water boiler, tea boiler, hot water jug, water heater jug",
            needs="boil water fast for tea, get hot water in a dorm room, "
            "heat water to an exact temperature for green tea, make instant noodles at work",
            colour="black, white, silver, red", material="stainless steel, glass, plastic",
            capacity="0.8 l, 1.2 l, 1.7 l", feature="quiet, cordless base, temperature control",
        ),
        leaf(
            "Kitchen > Appliances > Coffee Makers", 85,
            nouns="coffee maker, coffee machine",
            words="espresso brewer, percolator, cafe brewer, americano machine",
            needs="brew a fresh espresso at home, wake up to fresh coffee every morning, "
            "make cappuccino like in a cafe, caffeine for the whole office",
            colour="black, silver, white, red", type="espresso, drip, capsule, french press",
            capacity="0.6 l, 1.2 l, 1.8 l", feature="programmable, milk frothing, compact",
        ),
        leaf(
            "Kitchen > Appliances > Blenders", 65,
            nouns="blender, smoothie maker",
            words="liquidizer, shake mixer, food liquefier, smoothie machine",
            needs="make a fruit smoothie before work, crush ice for cocktails, "
            "turn vegetables into soup, mix protein shakes",
            colour="black, white, red, silver", power="300 watt, 600 watt, 1000 watt",
            capacity="0.6 l, 1.5 l, 2 l", feature="quiet, portable, with glass jug",
        ),
        leaf(
            "Kitchen > Appliances > Toasters", 36,
            nouns="toaster, bread toaster",
            words="toast machine, bread browner, bagel warmer, toast maker",
            needs="crispy bread for breakfast, warm up bagels in the morning, "
            "brown four slices at once, defrost and crisp frozen bread",
            colour="black, silver, red, cream", slots="2 slice, 4 slice",
            material="stainless steel, plastic", feature="wide slot, with defrost, retro",
        ),
        leaf(
            "Kitchen > Supplies > Coffee Filters", 7,
            nouns="coffee filter, filter bag",
            words="brew paper, drip cone liner, percolator paper, pour over paper",
            needs="keep the grounds out of my brew, run out of paper for the drip machine, "
            "stop sludge at the bottom of the pot, refill paper for my morning pour over",
            varies="pack", goes_with="Coffee Makers",
            pack="40 pack, 80 pack, 200 pack", material="paper, cotton, metal mesh",
            size="size 2, size 4, basket", feature="unbleached, compostable, reusable",
        ),
    ),
)  # fmt: skip
